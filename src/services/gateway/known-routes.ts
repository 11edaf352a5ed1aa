import type { RouteOptions } from 'fastify';
import type { RouteDoc } from './edge.ts';

export interface KnownRoute {
  readonly url: string;
  readonly methods: readonly string[];
  readonly schema: object | undefined;
  readonly doc: RouteDoc | undefined;
}

/** All routes of the application, for the `Allow` of a wrong method and for the OpenAPI document. */
export class KnownRoutes {
  readonly all: KnownRoute[] = [];
  #patterns: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = [];

  /** onRoute hook. */
  add(route: RouteOptions): void {
    const methods = [route.method].flat();
    this.all.push({ url: route.url, methods, schema: route.schema, doc: route.config?.doc });
    this.#patterns.push({ pattern: patternOf(route.url), methods });
  }

  /** The methods that the path of `url` knows; empty where there is no such path. */
  methodsAt(url: string): string[] {
    const path = url.split('?', 1)[0] ?? '';
    const found = this.#patterns.filter(({ pattern }) => pattern.test(path));
    return [...new Set(found.flatMap(({ methods }) => methods))].sort();
  }
}

function patternOf(url: string): RegExp {
  const parts = url.split('/').map((part) => {
    if (part === '*') return '.+';
    return part.startsWith(':') ? '[^/]+' : part.replace(/[^\w-]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('/')}$`);
}

/** A port whose calls can be made to fail. */
export interface Breakable<T> {
  readonly port: T;
  /** From now on calls of `methods` (all, where none is named) fail with `error`. */
  breakWith(error: Error, ...methods: (keyof T & string)[]): void;
  mend(): void;
  /** From now on `method` is this. */
  intercept<K extends keyof T & string>(method: K, instead: T[K]): void;
}

/** Wraps a port so that a test can take it away and give it back. */
export function breakable<T extends object>(target: T): Breakable<T> {
  const instead = new Map<string | symbol, unknown>();
  let broken: { readonly error: Error; readonly methods: readonly string[] } | undefined;
  const isBroken = (key: string): boolean =>
    broken !== undefined && (broken.methods.length === 0 || broken.methods.includes(key));
  const port = new Proxy(target, {
    get(_target, key) {
      const value: unknown = instead.get(key) ?? Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown =>
        isBroken(String(key))
          ? Promise.reject(broken?.error ?? new Error('broken'))
          : Reflect.apply(value, target, args);
    },
  });
  return {
    port,
    breakWith: (error, ...methods) => {
      broken = { error, methods };
    },
    mend: () => {
      broken = undefined;
    },
    intercept: (method, other) => {
      instead.set(method, other);
    },
  };
}

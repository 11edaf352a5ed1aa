import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { suite, test } from 'node:test';
import { readConfig } from '../../src/config/config.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { checkRequirements } from '../../src/host/requirements.ts';
import { parseYaml, type Yaml } from '../support/yaml.ts';

// The structure of the files for Docker; no container is started here.

const DEPLOY = new URL('../../deploy/', import.meta.url);
const ROLES = ['auth', 'gateway', 'converter', 'notification'] as const;
const SERVERS = ['mysql', 'mongodb', 'rabbitmq', 'mailpit'] as const;

interface Service {
  readonly image: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: readonly string[];
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly deploy?: { readonly replicas: string };
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, Yaml>>;
}

const text = await readFile(new URL('compose.yaml', DEPLOY), 'utf8');
const compose = (await parseYaml(text)) as unknown as Compose;
const example = await readFile(new URL('.env.example', DEPLOY), 'utf8');

/** The names that `deploy/.env` has to set. */
const variables = [...example.matchAll(/^([A-Z0-9_]+)=/gm)].map(([, name]) => name ?? '');

function service(name: string): Service {
  const found = compose.services[name];
  assert.ok(found, `there is no service ${name}`);
  return found;
}

/** A service's environment as compose hands it over where each variable of `.env` is "secret1". */
function environmentOf(name: string): Record<string, string> {
  const filled = Object.entries(service(name).environment ?? {}).map(([key, value]) => [
    key,
    value.replaceAll(/\$\{(\w+):\?[^}]*\}/g, (_whole, variable: string) =>
      variable === 'BOOTSTRAP_ADMIN_EMAIL'
        ? 'ann@example.com'
        : variable === 'AUDIOWAVE_PUBLIC_URL'
          ? 'http://localhost:8080'
          : 'secret1',
    ),
  ]);
  return Object.fromEntries(filled) as Record<string, string>;
}

suite('deploy/compose.yaml', () => {
  test('has the four roles and their servers, with two converters', () => {
    assert.deepEqual(Object.keys(compose.services).sort(), [...ROLES, ...SERVERS].sort());
    for (const role of ROLES) assert.deepEqual(service(role).command, ['serve', role]);
    assert.equal(service('converter').deploy?.replicas, '2');
    assert.match(service('rabbitmq').image, /^rabbitmq:.*management/);
  });

  test('gives each role settings that Audiowave knows, and all that it needs', () => {
    const known = Object.values(SETTINGS).map(({ env }) => env);
    for (const role of ROLES) {
      const environment = environmentOf(role);
      for (const name of Object.keys(environment)) assert.ok(known.includes(name), name);
      checkRequirements(readConfig(environment), new Set([role]));
    }
  });

  test('names only servers that are there, and needs no order of starts', () => {
    for (const role of ROLES) {
      const named = Object.values(environmentOf(role)).flatMap(
        (value) => /^(?:mysql|mongodb|amqp|smtp|http):\/\/(?:[^@/]*@)?([^:/?]+)/.exec(value)?.[1] ?? [],
      );
      for (const host of named) {
        assert.ok(host === 'localhost' || Object.hasOwn(compose.services, host), `${role} names ${host}`);
      }
      for (const other of service(role).depends_on ?? []) assert.ok(Object.hasOwn(compose.services, other));
    }
  });

  test('takes every secret from .env, without a default', () => {
    const used = [...text.matchAll(/\$\{(\w+)([^}]*)\}/g)];
    for (const [whole, , rest] of used)
      assert.match(rest ?? '', /^:\?/, `${whole} has a default or may be empty`);
    assert.deepEqual([...new Set(used.map(([, name]) => name))].sort(), [...variables].sort());
    const secrets = Object.values(compose.services).flatMap(({ environment }) =>
      Object.entries(environment ?? {}).filter(([name]) => /PASSWORD|SECRET|_PASS$/.test(name)),
    );
    assert.ok(secrets.length > 4);
    for (const [name, value] of secrets) assert.match(value, /^\$\{\w+:\?/, name);
    for (const name of variables.filter((one) => /PASSWORD|SECRET/.test(one))) {
      assert.match(example, new RegExp(`^${name}=$`, 'm'), `${name} has a value in the example`);
    }
  });

  test('asks every server for its health and keeps its data', () => {
    for (const name of SERVERS) {
      const { healthcheck, volumes = [], image } = service(name);
      assert.ok(healthcheck && healthcheck.test.length > 1, `${name} has no health check`);
      assert.match(image, /:[\w.-]+$/, `${name} has no version`);
      const [volume = ''] = (volumes[0] ?? '').split(':');
      assert.ok(Object.hasOwn(compose.volumes, volume), `${name} keeps nothing`);
    }
  });
});

suite('deploy/Dockerfile', () => {
  test('runs as nobody special, asks for its health, and copies only what is there', async () => {
    const dockerfile = await readFile(new URL('Dockerfile', DEPLOY), 'utf8');
    const ignored = await readFile(new URL('../.dockerignore', DEPLOY), 'utf8');
    assert.match(dockerfile, /^USER node$/m);
    assert.match(dockerfile, /^HEALTHCHECK .*deploy\/healthcheck\.js/m);
    assert.match(dockerfile, /^ENTRYPOINT \["node", "bin\/audiowave\.js"\]$/m);
    const allowed = [...ignored.matchAll(/^!(.+)$/gm)].map(([, path]) => path ?? '');
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths]) =>
      (paths ?? '').split(' '),
    );
    for (const path of copied.filter((one) => one !== '.')) assert.ok(allowed.includes(path), path);
    for (const path of allowed) await readFile(new URL(`../${path}`, DEPLOY)).catch(ignoreFolder);
  });
});

function ignoreFolder(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'EISDIR') throw error;
}

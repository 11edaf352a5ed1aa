import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import {
  configFlags,
  isLoopback,
  readConfig,
  registrationOf,
  type Config,
  type Environment,
} from '../../src/config/config.ts';
import { FAMILY } from '../../src/config/family.ts';
import { flagOf, SETTINGS, type Setting } from '../../src/config/settings.ts';
import { AudiowaveError } from '../../src/domain/errors.ts';

const DAY = 86_400_000;
const GIB = 1024 ** 3;
const FAMILY_NAMES = FAMILY.flatMap(({ names }) => names);
const ALL: readonly Setting<unknown>[] = Object.values(SETTINGS);

/** The lines of `config.invalid`. */
function problemsOf(env: Environment, flags: Environment = {}): readonly string[] {
  try {
    readConfig(env, flags);
  } catch (error) {
    assert.ok(error instanceof AudiowaveError && error.code === 'config.invalid', String(error));
    return error.message.split('\n');
  }
  return [];
}

/** Each text is read as its value. */
function reads<K extends keyof Config>(
  key: K,
  env: string,
  cases: Readonly<Record<string, Config[K]>>,
): void {
  for (const [text, value] of Object.entries(cases)) {
    assert.deepEqual(readConfig({ [env]: text })[key], value, `${env}=${text}`);
  }
}

/** Each text is refused with exactly one line that names the variable, the text and the form. */
function refuses(env: string, ...texts: string[]): void {
  for (const text of texts) {
    const problems = problemsOf({ [env]: text });
    assert.equal(problems.length, 1, `${env}=${text}: ${problems.join(' | ')}`);
    assert.ok(problems[0]?.startsWith(`${env} "${text}" is not of the form: `), problems[0]);
  }
}

test('nothing set: the embedded defaults', () => {
  const config = readConfig({});
  const { dataFolder, host, port, authPort, maxUploadBytes, minFreeDiskBytes } = config;
  assert.deepEqual([dataFolder, host, port, authPort], ['./data', '127.0.0.1', 8080, 5000]);
  assert.deepEqual([maxUploadBytes, minFreeDiskBytes], [5 * GIB, GIB]);
  assert.deepEqual([config.sourceRetentionMs, config.mp3RetentionMs], [DAY, null]);
  assert.deepEqual([config.trustedProxies, config.importAllow], [[], []]);
  assert.deepEqual([config.videoQueue, config.mp3Queue], ['video', 'mp3']);
  assert.equal(config.concurrency, availableParallelism());
  for (const unset of [config.jwtSecret, config.publicUrl, config.registration, config.usersUrl]) {
    assert.equal(unset, undefined);
  }
});

test('durations', () => {
  reads('sourceRetentionMs', 'SOURCE_RETENTION', {
    '500ms': 500,
    '0s': 0,
    '30s': 30_000,
    '15m': 900_000,
    '6h': 21_600_000,
    '400d': 400 * DAY,
  });
  refuses('SOURCE_RETENTION', '30', '-1s', '1.5h', '1w', '1 h', 's', '1H', '1234567s', 'forever');
  reads('mp3RetentionMs', 'MP3_RETENTION', { forever: null, '30d': 30 * DAY });
  refuses('MP3_RETENTION', 'never', 'Forever', '30');
});

test('durations that somebody waits for end before a timer overflows', () => {
  reads('conversionTimeoutMs', 'CONVERSION_TIMEOUT', { '1ms': 1, '24d': 24 * DAY });
  for (const env of ['CONVERSION_TIMEOUT', 'IMPORT_TIMEOUT', 'UPLOAD_IDLE'])
    refuses(env, '0s', '25d', '2073601s');
  reads('shutdownGraceMs', 'SHUTDOWN_GRACE', { '0s': 0, '24d': 24 * DAY });
  refuses('SHUTDOWN_GRACE', '25d');
});

test('lifetimes of tokens and links last a second at the least', () => {
  reads('tokenTtlMs', 'TOKEN_TTL', { '1s': 1_000, '365d': 365 * DAY });
  reads('linkTtlMs', 'LINK_TTL', { '7d': 7 * DAY });
  for (const env of ['TOKEN_TTL', 'LINK_TTL']) refuses(env, '0d', '999ms', 'forever');
});

test('sizes are in powers of 1024, however their unit is written', () => {
  const values = { '0': 0, '17': 17, '10B': 10, '1K': 1024, '1KB': 1024, '1KiB': 1024 };
  reads('maxUploadBytes', 'MAX_UPLOAD', {
    ...values,
    '500MiB': 500 * 1024 ** 2,
    '5 GiB': 5 * GIB,
    '2T': 2048 * GIB,
  });
  refuses('MAX_UPLOAD', '5gib', '1.5GiB', '-1', 'GiB', '5PiB', '1e9', '5  GiB', 'unlimited');
});

test('ports', () => {
  reads('port', 'AUDIOWAVE_PORT', { '0': 0, '80': 80, '9999': 9999, '65535': 65535 });
  refuses('AUDIOWAVE_PORT', '65536', '-1', '08080', '80a', '70000', '123456', '8080.0');
});

test('the variables that Kubernetes sets for the Services of the family disturb nothing', () => {
  const links = ['AUTH', 'GATEWAY', 'RABBITMQ', 'MYSQL', 'MONGODB'].flatMap((service) => [
    [`${service}_PORT`, 'tcp://10.96.0.1:5000'],
    [`${service}_SERVICE_HOST`, '10.96.0.1'],
    [`${service}_SERVICE_PORT`, '5000'],
  ]);
  assert.deepEqual(readConfig(Object.fromEntries(links) as Environment), readConfig({}));
});

test('counts', () => {
  reads('maxAttempts', 'MAX_ATTEMPTS', { '1': 1, '999999': 999_999 });
  refuses('CONVERSIONS', '0', '-1', '1.5', 'auto', '1000000');
});

test('words', () => {
  reads('registration', 'REGISTRATION', { open: 'open', closed: 'closed' });
  refuses('REGISTRATION', 'Open', 'yes', 'true');
  reads('encoder', 'AUDIOWAVE_ENCODER', { auto: 'auto', 'node-av': 'node-av' });
  refuses('LOG_LEVEL', 'trace', 'INFO');
});

test('lists are separated by commas; empty entries do not count', () => {
  reads('importAllow', 'IMPORT_ALLOW', {
    'nas.local': ['nas.local'],
    ' a.example , ,10.0.0.0/8,': ['a.example', '10.0.0.0/8'],
    ',': [],
  });
});

test('trusted proxies are addresses and networks', () => {
  reads('trustedProxies', 'TRUSTED_PROXIES', {
    '10.0.0.1': ['10.0.0.1'],
    '10.0.0.0/8, ::1 ,fd00::/7': ['10.0.0.0/8', '::1', 'fd00::/7'],
  });
  refuses(
    'TRUSTED_PROXIES',
    'proxy.local',
    '10.0.0.0/33',
    '10.0.0',
    'fd00::/129',
    '0.0.0.0/0',
    '::1,*',
    '1.2.3.4/',
  );
});

test('e-mail addresses stand alone, without a display name', () => {
  reads('mailFrom', 'MAIL_FROM', { 'a@b.example': 'a@b.example', ' a@b.example ': 'a@b.example' });
  for (const env of ['MAIL_FROM', 'GMAIL_ADDRESS']) {
    refuses(env, 'Audiowave <a@b.example>', 'a', 'a@b@c', 'a@b.example, c@d.example');
  }
});

test('the public URL is an http(s) URL, and is read without a slash at its end', () => {
  reads('publicUrl', 'AUDIOWAVE_PUBLIC_URL', {
    'http://mp3converter.com': 'http://mp3converter.com',
    'https://a.example:8443/': 'https://a.example:8443',
    'https://a.example/audio//': 'https://a.example/audio',
  });
  refuses(
    'AUDIOWAVE_PUBLIC_URL',
    ...['mp3converter.com', 'ftp://a', 'http://', 'https://a.example/?x', 'https://a.example/#x'],
    ...['https://user:pw@a.example', 'http://[', 'http://a b', 'javascript:alert(1)'],
  );
});

test('a flag wins over the environment, which wins over the default', () => {
  assert.equal(readConfig({ AUDIOWAVE_PORT: '9000' }).port, 9000);
  assert.equal(readConfig({ AUDIOWAVE_PORT: '9000' }, { port: '9001' }).port, 9001);
  assert.equal(readConfig({}, { 'max-upload': '1KiB' }).maxUploadBytes, 1024);
  // A value that loses is not even read.
  assert.equal(readConfig({ AUDIOWAVE_PORT: 'nonsense' }, { port: '9001' }).port, 9001);
});

test('an empty value counts as unset', () => {
  const empty = Object.fromEntries([...ALL.map(({ env }) => env), ...FAMILY_NAMES].map((name) => [name, '']));
  assert.deepEqual(readConfig(empty), readConfig({}));
  assert.equal(readConfig({ AUDIOWAVE_PORT: '9000' }, { port: '' }).port, 9000);
});

test('all problems are told at once, a line each, with the name that was used', () => {
  assert.deepEqual(
    problemsOf({ AUDIOWAVE_PORT: 'x', REGISTRATION: 'maybe', MYSQL_HOST: 'db:x/' }, { conversions: '0' }),
    [
      'AUDIOWAVE_PORT "x" is not of the form: port, 0 to 65535.',
      'REGISTRATION "maybe" is not of the form: open | closed.',
      '--conversions "0" is not of the form: whole number from 1 on.',
      'MYSQL_HOST is not of the form: host name or address.',
    ],
  );
});

test('the bootstrap administrator has an address and a password, or neither', () => {
  const [email, password] = [{ BOOTSTRAP_ADMIN_EMAIL: 'a@b.c' }, { BOOTSTRAP_ADMIN_PASSWORD: 'long enough' }];
  assert.equal(readConfig({ ...email, ...password }).bootstrapAdminEmail, 'a@b.c');
  assert.equal(readConfig(password, { 'bootstrap-admin-email': 'c@d.e' }).bootstrapAdminEmail, 'c@d.e');
  const together = 'BOOTSTRAP_ADMIN_EMAIL and BOOTSTRAP_ADMIN_PASSWORD go together; set both or neither.';
  assert.deepEqual(problemsOf(email), [together]);
  assert.deepEqual(problemsOf(password), [together]);
  assert.equal(problemsOf({ ...password, BOOTSTRAP_ADMIN_EMAIL: 'nobody' }).length, 1);
});

test('no two queues share a name', () => {
  const line = 'VIDEO_QUEUE, MP3_QUEUE and our own audiowave.failed must be three different queues.';
  assert.deepEqual(problemsOf({ VIDEO_QUEUE: 'a', MP3_QUEUE: 'a' }), [line]);
  assert.deepEqual(problemsOf({ VIDEO_QUEUE: 'mp3' }), [line]);
  assert.deepEqual(problemsOf({ MP3_QUEUE: 'audiowave.failed' }), [line]);
  assert.deepEqual(problemsOf({ VIDEO_QUEUE: 'mp3', MP3_QUEUE: 'video' }), []);
});

test('secrets have no flag, and no problem ever shows one', () => {
  const secrets = ALL.filter(({ secret }) => secret === true);
  assert.deepEqual(
    secrets.map(({ env }) => env),
    ['JWT_SECRET', 'BOOTSTRAP_ADMIN_PASSWORD'],
  );
  for (const secret of secrets) assert.equal(flagOf(secret), undefined);
  const flags = configFlags();
  assert.ok(!flags.some((flag) => /secret|password/.test(flag)));
  const env = { JWT_SECRET: 'sarcasm', BOOTSTRAP_ADMIN_PASSWORD: 'hunter22', AUDIOWAVE_PORT: 'x' };
  const problems = problemsOf(env, { 'jwt-secret': 'flagged' });
  assert.doesNotMatch(problems.join('\n'), /sarcasm|hunter22|flagged/);
  assert.equal(readConfig({}, { 'jwt-secret': 'flagged' }).jwtSecret, undefined);
});

test('a URL may carry a password: no problem shows it, and no flag takes it', () => {
  const urls = ALL.filter(({ isUrl }) => isUrl === true);
  assert.equal(urls.length, 7);
  for (const { env, ...rest } of urls) {
    const flag = flagOf({ env, ...rest }) ?? '';
    assert.deepEqual(problemsOf({}, { [flag]: 'x://ann:hunter22@host/a' }), [
      `--${flag} carries a password, which everybody on this machine can read in a flag; set ${env} instead.`,
    ]);
    assert.deepEqual(problemsOf({ [env]: 'x://ann:hunter22@host/a' }), []);
    assert.deepEqual(problemsOf({}, { [flag]: 'x://ann@host:80/a' }), []);
  }
});

test('names are taken once, by variables and by flags', () => {
  const names = ALL.map(({ env }) => env);
  assert.equal(new Set(names).size, names.length);
  const flags = configFlags();
  assert.equal(new Set(flags).size, flags.length);
  assert.ok(flags.includes('port') && flags.includes('host') && flags.includes('max-upload'));
  // GMAIL_ADDRESS alone is the sender, and a setting of its own.
  assert.deepEqual(
    FAMILY_NAMES.filter((name) => names.includes(name)),
    ['GMAIL_ADDRESS'],
  );
  assert.equal(new Set(FAMILY_NAMES).size, FAMILY_NAMES.length);
});

test('every default has the form of its setting', () => {
  assert.deepEqual(problemsOf(Object.fromEntries(ALL.map(({ env, fallback }) => [env, fallback ?? '']))), []);
});

test('registration is open on the loopback only, unless it is set', () => {
  const registration = (env: Environment): string => registrationOf(readConfig(env));
  assert.equal(registration({}), 'open');
  for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '::1']) {
    assert.ok(isLoopback(host));
    assert.equal(registration({ AUDIOWAVE_HOST: host }), 'open', host);
  }
  for (const host of ['0.0.0.0', '::', '192.168.1.2', '127.0.0.1.example.com', 'localhost.example.com']) {
    assert.equal(registration({ AUDIOWAVE_HOST: host }), 'closed', host);
    assert.equal(registration({ AUDIOWAVE_HOST: host, REGISTRATION: 'open' }), 'open');
  }
  assert.equal(registration({ REGISTRATION: 'closed' }), 'closed');
});

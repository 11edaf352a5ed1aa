import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  readConfig,
  registrationOf,
  senderOf,
  type Config,
  type Environment,
} from '../../src/config/config.ts';
import { FAMILY } from '../../src/config/family.ts';
import { AudiowaveError } from '../../src/domain/errors.ts';
import { portUrls, shownUrl, type PortUrls } from '../../src/host/profiles.ts';

/** The URLs of the ports. */
function urlsOf(env: Environment): PortUrls {
  return portUrls(readConfig(env));
}

function problemsOf(env: Environment): readonly string[] {
  try {
    readConfig(env);
  } catch (error) {
    assert.ok(error instanceof AudiowaveError && error.code === 'config.invalid', String(error));
    return error.message.split('\n');
  }
  return [];
}

/** The port has the URL that each environment should give it. */
function gives(port: keyof PortUrls, cases: readonly (readonly [Environment, string | undefined])[]): void {
  for (const [env, url] of cases) assert.equal(urlsOf(env)[port], url, JSON.stringify(env));
}

test('accounts: the MYSQL_ names of the family', () => {
  const login = { MYSQL_HOST: 'mysql', MYSQL_USER: 'auth_user', MYSQL_PASSWORD: 'Auth123' };
  gives('users', [
    [{ ...login, MYSQL_DB: 'auth', MYSQL_PORT: '3306' }, 'mysql://auth_user:Auth123@mysql:3306/auth'],
    [login, 'mysql://auth_user:Auth123@mysql:3306/auth'],
    [{ MYSQL_HOST: 'mysql' }, 'mysql://mysql:3306/auth'],
    [{ ...login, MYSQL_PORT: '3307', MYSQL_DB: 'a/b' }, 'mysql://auth_user:Auth123@mysql:3307/a%2Fb'],
    [{ ...login, MYSQL_PORT: 'tcp://10.0.0.7:3306' }, 'mysql://auth_user:Auth123@mysql:3306/auth'],
    [
      { ...login, MYSQL_USER: 'a@b', MYSQL_PASSWORD: 'p:/@ %?#' },
      'mysql://a%40b:p%3A%2F%40%20%25%3F%23@mysql:3306/auth',
    ],
    [{ MYSQL_HOST: 'fd00::7' }, 'mysql://[fd00::7]:3306/auth'],
    [{ ...login, USERS_URL: 'mysql://ours/x' }, 'mysql://ours/x'],
  ]);
});

test('the broker: the RABBITMQ_ names, with the user that clients take by default', () => {
  const host = { RABBITMQ_HOST: 'mq.example' };
  gives('broker', [
    [host, 'amqp://guest:guest@mq.example:5672'],
    [{ ...host, RABBITMQ_USER: 'ann', RABBITMQ_PASSWORD: 's/t' }, 'amqp://ann:s%2Ft@mq.example:5672'],
    [{ ...host, RABBITMQ_USERNAME: 'ann', RABBITMQ_PASSWORD: 'x' }, 'amqp://ann:x@mq.example:5672'],
    [{ ...host, RABBITMQ_PORT: '5673', RABBITMQ_VHOST: '/' }, 'amqp://guest:guest@mq.example:5673'],
    [{ ...host, RABBITMQ_VHOST: 'a/b' }, 'amqp://guest:guest@mq.example:5672/a%2Fb'],
    [{ ...host, RABBITMQ_PORT: 'tcp://10.0.0.7:5672' }, 'amqp://guest:guest@mq.example:5672'],
    [{ ...host, BROKER_URL: 'amqp://ours' }, 'amqp://ours'],
  ]);
});

test('auth: AUTH_SVC_ADDRESS', () => {
  gives('auth', [
    [{ AUTH_SVC_ADDRESS: 'auth:5000' }, 'http://auth:5000'],
    [{ AUTH_SVC_ADDRESS: 'https://auth.example/' }, 'https://auth.example'],
    [{ AUTH_SVC_ADDRESS: 'auth:5000', AUTH_URL: 'http://ours:1' }, 'http://ours:1'],
    [{}, undefined],
  ]);
});

test('MongoDB: one server of all databases, options kept, and its user known where he was', () => {
  const uri = 'mongodb://ann:p%40ss@m1:27017,m2:27017/shop?replicaSet=rs0';
  for (const name of ['MONGO_URI', 'MONGODB_URI']) {
    const { videos, mp3s, conversions } = urlsOf({ [name]: uri });
    const at = 'mongodb://ann:p%40ss@m1:27017,m2:27017/';
    const options = '?replicaSet=rs0&authSource=shop';
    assert.deepEqual(
      [videos, mp3s, conversions],
      [`${at}videos${options}`, `${at}mp3s${options}`, `${at}audiowave${options}`],
    );
  }
  gives('videos', [
    [{ MONGO_URI: 'mongodb://m:27017' }, 'mongodb://m:27017/videos'],
    [{ MONGO_URI: 'mongodb://m:27017/?w=1' }, 'mongodb://m:27017/videos?w=1'],
    [{ MONGO_URI: 'mongodb://m:27017/shop' }, 'mongodb://m:27017/videos'],
    [{ MONGO_URI: 'mongodb://a:b@m' }, 'mongodb://a:b@m/videos?authSource=admin'],
    [{ MONGO_URI: 'mongodb://a:b@m/x?authSource=y' }, 'mongodb://a:b@m/videos?authSource=y'],
    [
      { MONGO_URI: 'mongodb://a:b@m/x?authMechanism=MONGODB-X509' },
      'mongodb://a:b@m/videos?authMechanism=MONGODB-X509',
    ],
    [{ MONGO_URI: 'mongodb+srv://a:b@c.example/x' }, 'mongodb+srv://a:b@c.example/videos?authSource=admin'],
    [{ MONGO_URI: 'mongodb://m', MONGODB_URI: 'mongodb://n' }, 'mongodb://m/videos'],
  ]);
});

test('MongoDB: each bucket on a server of its own, the records beside the MP3s', () => {
  const env = {
    MONGODB_VIDEOS_URI: 'mongodb://a:b@one/films?authSource=admin',
    MONGODB_MP3S_URI: 'mongodb://a:b@two/songs',
  };
  const { videos, mp3s, conversions } = urlsOf(env);
  assert.equal(videos, env.MONGODB_VIDEOS_URI);
  assert.equal(mp3s, env.MONGODB_MP3S_URI);
  assert.equal(conversions, 'mongodb://a:b@two/audiowave?authSource=songs');
  gives('mp3s', [
    [{ MONGODB_MP3S_URI: 'mongodb://a:b@two' }, 'mongodb://a:b@two/mp3s?authSource=admin'],
    [{ MONGODB_MP3S_URI: 'mongodb://two', MONGO_URI: 'mongodb://one' }, 'mongodb://two/mp3s'],
  ]);
  gives('conversions', [
    [{ MP3S_URL: 'mongodb://ours/mp3s' }, 'mongodb://ours/audiowave'],
    [{ MP3S_URL: 'mongodb://ours/mp3s', CONVERSIONS_URL: 'mongodb://x/y' }, 'mongodb://x/y'],
    [{ MP3S_URL: 'mongodb://ours/mp3s', MONGO_URI: 'mongodb://one' }, 'mongodb://ours/audiowave'],
    [{ MP3S_URL: 'file:/srv/mp3s', MONGO_URI: 'mongodb://one' }, 'mongodb://one/audiowave'],
  ]);
  const embedded = urlsOf({ MP3S_URL: 'file:/srv/mp3s' }).conversions;
  assert.match(embedded, /^sqlite:.*conversions\.sqlite$/);
});

test('mail: SMTP_ names, and Gmail by address and password', () => {
  const gmail = { GMAIL_ADDRESS: 'ann.lee@gmail.com', GMAIL_PASSWORD: 'abcd efgh ijkl mnop' };
  const login = 'ann.lee%40gmail.com:abcd%20efgh%20ijkl%20mnop@';
  gives('mail', [
    [gmail, `smtp://${login}smtp.gmail.com:587`],
    [{ SMTP_HOST: 'mail' }, 'smtp://mail:587'],
    [{ SMTP_SERVER: 'mail', SMTP_PORT: '25' }, 'smtp://mail:25'],
    [{ SMTP_HOST: 'mail', SMTP_PORT: '465' }, 'smtps://mail:465'],
    [{ SMTP_HOST: 'smtp', SMTP_PORT: 'tcp://10.0.0.7:25' }, 'smtp://smtp:587'],
    [{ SMTP_HOST: 'mail', SMTP_USERNAME: 'a@b', SMTP_PASSWORD: 'c' }, 'smtp://a%40b:c@mail:587'],
    [{ SMTP_HOST: 'mail', SMTP_USER: 'a', SMTP_PASSWORD: 'c d' }, 'smtp://a:c%20d@mail:587'],
    [{ SMTP_HOST: 'mail', MAIL_URL: 'smtp://ours' }, 'smtp://ours'],
    // The password of a Gmail account goes to Gmail only.
    [{ ...gmail, SMTP_HOST: 'mail' }, 'smtp://mail:587'],
    [{ ...gmail, SMTP_SERVER: 'smtp.gmail.com' }, `smtp://${login}smtp.gmail.com:587`],
  ]);
  const sender = readConfig({ GMAIL_ADDRESS: 'ann@gmail.com' });
  assert.deepEqual([sender.mailUrl, sender.gmailAddress], [undefined, 'ann@gmail.com']);
});

test('a name of the family that chooses a server makes the profile, mail does not', () => {
  const profileOf = (env: Environment): string => readConfig(env).profile;
  for (const { names, isDistributed } of FAMILY) {
    for (const name of names) {
      const value = name.startsWith('MONGO') ? 'mongodb://m' : name === 'GMAIL_ADDRESS' ? 'a@b.c' : '5';
      const env = name === 'GMAIL_PASSWORD' ? { [name]: value, GMAIL_ADDRESS: 'a@b.c' } : { [name]: value };
      assert.equal(profileOf(env), isDistributed ? 'distributed' : 'embedded', name);
      assert.equal(profileOf({ ...env, AUDIOWAVE_PROFILE: 'embedded' }), 'embedded', name);
      assert.equal(profileOf({ [name]: '' }), 'embedded', name);
    }
  }
  assert.equal(profileOf({ AUDIOWAVE_PROFILE: 'distributed' }), 'distributed');
  assert.equal(profileOf({ USERS_URL: 'mysql://db/auth' }), 'embedded');
  assert.equal(readConfig({ MYSQL_HOST: 'db' }, { profile: 'embedded' }).profile, 'embedded');
});

test('profile distributed: the places that the original has in its code', () => {
  const config: Config = readConfig({ AUDIOWAVE_PROFILE: 'distributed' });
  const mongo = 'mongodb://host.minikube.internal:27017';
  assert.deepEqual(portUrls(config), {
    users: undefined,
    conversions: `${mongo}/audiowave`,
    videos: `${mongo}/videos`,
    mp3s: `${mongo}/mp3s`,
    broker: 'amqp://guest:guest@rabbitmq:5672',
    mail: undefined,
    auth: 'http://auth:5000',
  });
  assert.deepEqual([config.host, config.publicUrl], ['0.0.0.0', 'http://mp3converter.com']);
  const registration = (env: Environment): string =>
    registrationOf(readConfig({ AUDIOWAVE_PROFILE: 'distributed', ...env }));
  assert.equal(registration({}), 'closed');
  assert.equal(registration({ AUDIOWAVE_HOST: '127.0.0.1' }), 'closed');
  assert.equal(registration({ REGISTRATION: 'open' }), 'open');
});

test('what is wrong with the names is told at once, without any value', () => {
  const env = {
    MYSQL_HOST: 'mysql://ann:hunter22@db',
    MYSQL_PORT: 'hunter22',
    AUTH_SVC_ADDRESS: 'hunter22@auth',
    MONGO_URI: 'hunter22',
    RABBITMQ_HOST: 'hunter22@mq',
    SMTP_HOST: 'mail',
    SMTP_PORT: '0',
    SMTP_USER: 'hunter22',
  };
  const problems = problemsOf(env);
  assert.deepEqual([...problems].sort(), [
    'AUTH_SVC_ADDRESS is not of the form: host:port.',
    'MONGO_URI is not of the form: mongodb://host:27017.',
    'MYSQL_HOST is not of the form: host name or address.',
    'RABBITMQ_HOST is not of the form: host name or address.',
    'SMTP_PORT is not of the form: port, 1 to 65535.',
    'SMTP_USERNAME needs SMTP_PASSWORD; set both or neither.',
  ]);
  assert.deepEqual(problemsOf({ MYSQL_HOST: 'db', MYSQL_PORT: '70000' }), [
    'MYSQL_PORT is not of the form: port, 1 to 65535.',
  ]);
  assert.deepEqual(problemsOf({ GMAIL_PASSWORD: 'hunter22' }), [
    'GMAIL_PASSWORD needs GMAIL_ADDRESS; set both or neither.',
  ]);
  // A value that loses is not even read.
  const ours = {
    USERS_URL: 'sqlite:/a',
    AUTH_URL: 'http://a',
    VIDEOS_URL: 'file:/a',
    MP3S_URL: 'file:/a',
    CONVERSIONS_URL: 'sqlite:/a',
    BROKER_URL: 'sqlite:/a',
    MAIL_URL: 'outbox:/a',
  };
  assert.deepEqual(problemsOf({ ...env, ...ours }), []);
});

test('a URL is shown without its credentials and options', () => {
  const cases = {
    'mysql://ann:hunter22@db:3306/auth': 'mysql://db:3306/auth',
    'mongodb://ann:p@ss@a:1,b:2/videos?authSource=x': 'mongodb://a:1,b:2/videos',
    'amqp://rabbitmq:5672': 'amqp://rabbitmq:5672',
    'smtp://a%40b:hunter22@mail?tls=on': 'smtp://mail',
    'sqlite:/srv/a@b?.sqlite': 'sqlite:/srv/a@b?.sqlite',
  };
  for (const [url, shown] of Object.entries(cases)) assert.equal(shownUrl(url), shown);
});

test('mails come from who is named, else from who logs in at the mail server', () => {
  const from = (env: Record<string, string>): string => senderOf(readConfig(env, {}));
  const server = { SMTP_HOST: 'mail.example', SMTP_USERNAME: 'ann+mp3@example.com', SMTP_PASSWORD: 'secret' };
  assert.equal(from({}), 'audiowave@localhost');
  assert.equal(from(server), 'ann+mp3@example.com');
  assert.equal(from({ ...server, SMTP_USERNAME: 'ann' }), 'audiowave@localhost');
  assert.equal(from({ ...server, MAIL_FROM: 'mp3@example.com' }), 'mp3@example.com');
  assert.equal(from({ ...server, GMAIL_ADDRESS: 'bob@gmail.com' }), 'bob@gmail.com');
  assert.equal(from({ MAIL_URL: 'smtp://ann%40example.com:secret@mail.example' }), 'ann@example.com');
  assert.equal(from({ MAIL_URL: 'outbox:/tmp/ann@example.com' }), 'audiowave@localhost');
});

import { isIP } from 'node:net';
import { withDatabase } from './mongo-url.ts';
import type { ProfileName, SettingName } from './settings.ts';

/** The settings that choose a server by URL. */
export type UrlSetting = Extract<SettingName, `${string}Url`> & Exclude<SettingName, 'publicUrl'>;

/** Environment variables, as `process.env` has them. */
type Environment = Readonly<Record<string, string | undefined>>;

/** One row of the page of settings: names that existing manifests set, and what they mean here. */
export interface FamilyRow {
  readonly names: readonly string[];
  /** The setting that wins over them. */
  readonly setting: string;
  readonly meaning: string;
  /** Whether one of them alone makes the profile `distributed`. */
  readonly isDistributed: boolean;
}

/** The names of the drop-in contract ("Environment") that {@link familyUrl} translates. `docs/configuration.md` shows them. */
export const FAMILY: readonly FamilyRow[] = [
  {
    names: ['AUTH_SVC_ADDRESS'],
    setting: 'AUTH_URL',
    meaning: 'Address of auth: `auth:5000`.',
    isDistributed: true,
  },
  { names: ['MYSQL_HOST'], setting: 'USERS_URL', meaning: 'Server of the accounts.', isDistributed: true },
  {
    names: ['MYSQL_USER', 'MYSQL_PASSWORD', 'MYSQL_DB', 'MYSQL_PORT'],
    setting: 'USERS_URL',
    meaning: 'How to log in there; database `auth` and port 3306 where they are unset.',
    isDistributed: false,
  },
  {
    names: ['MONGO_URI', 'MONGODB_URI'],
    setting: '`VIDEOS_URL`, `MP3S_URL`, `CONVERSIONS_URL`',
    meaning:
      'MongoDB of the databases `videos`, `mp3s` and `audiowave`. Options stay; a database in its path is the one that knows the user (`authSource`).',
    isDistributed: true,
  },
  {
    names: ['MONGODB_VIDEOS_URI'],
    setting: 'VIDEOS_URL',
    meaning: 'MongoDB of the videos; database `videos` where it names none.',
    isDistributed: true,
  },
  {
    names: ['MONGODB_MP3S_URI'],
    setting: '`MP3S_URL`, `CONVERSIONS_URL`',
    meaning: 'MongoDB of the MP3s; database `mp3s` where it names none.',
    isDistributed: true,
  },
  { names: ['RABBITMQ_HOST'], setting: 'BROKER_URL', meaning: 'The message broker.', isDistributed: true },
  {
    names: ['RABBITMQ_USER', 'RABBITMQ_USERNAME', 'RABBITMQ_PASSWORD', 'RABBITMQ_PORT', 'RABBITMQ_VHOST'],
    setting: 'BROKER_URL',
    meaning: 'How to log in there; `guest`, port 5672 and vhost `/` where they are unset.',
    isDistributed: false,
  },
  {
    names: ['SMTP_HOST', 'SMTP_SERVER'],
    setting: 'MAIL_URL',
    meaning: 'The mail server.',
    isDistributed: false,
  },
  {
    names: ['SMTP_PORT', 'SMTP_USERNAME', 'SMTP_USER', 'SMTP_PASSWORD'],
    setting: 'MAIL_URL',
    meaning: 'How to log in there; port 587 where it is unset. Port 465 speaks TLS from the first byte.',
    isDistributed: false,
  },
  {
    names: ['GMAIL_ADDRESS', 'GMAIL_PASSWORD'],
    setting: 'MAIL_URL',
    meaning:
      'Both: mails go through smtp.gmail.com:587 (STARTTLS, certificate checked), unless `SMTP_HOST` names another server. The address alone is the sender only.',
    isDistributed: false,
  },
];

/** The profile where nobody names one: that of a cluster where a name of the family chooses a server. */
export function impliedProfile(env: Environment): ProfileName {
  const chooses = FAMILY.filter(({ isDistributed }) => isDistributed).flatMap(({ names }) => names);
  return chooses.some((name) => (env[name] ?? '') !== '') ? 'distributed' : 'embedded';
}

/**
 * The URL that the family's names give a setting; undefined where they give none. What is wrong is added to
 * `problems`, a line each, without any value: it may be a password in the wrong place.
 */
export function familyUrl(setting: UrlSetting, env: Environment, problems: string[]): string | undefined {
  return TRANSLATIONS[setting](new Names(env, problems));
}

type Translation = (names: Names) => string | undefined;

const TRANSLATIONS: Readonly<Record<UrlSetting, Translation>> = {
  authUrl: (names) => names.httpAddress('AUTH_SVC_ADDRESS'),
  usersUrl: (names) => {
    const host = names.host('MYSQL_HOST');
    if (host === undefined) return undefined;
    const login = loginOf(names.text('MYSQL_USER'), names.text('MYSQL_PASSWORD'));
    const database = encodeURIComponent(names.text('MYSQL_DB') ?? 'auth');
    return `mysql://${login}${host}:${names.port('MYSQL_PORT') ?? '3306'}/${database}`;
  },
  videosUrl: (names) => names.mongo('MONGODB_VIDEOS_URI', 'videos'),
  mp3sUrl: (names) => names.mongo('MONGODB_MP3S_URI', 'mp3s'),
  conversionsUrl: (names) => names.mongo(undefined, 'audiowave'),
  brokerUrl: (names) => {
    const host = names.host('RABBITMQ_HOST');
    if (host === undefined) return undefined;
    const user = names.text('RABBITMQ_USER', 'RABBITMQ_USERNAME') ?? 'guest';
    const login = loginOf(user, names.text('RABBITMQ_PASSWORD') ?? (user === 'guest' ? 'guest' : undefined));
    const vhost = names.text('RABBITMQ_VHOST') ?? '/';
    const path = vhost === '/' ? '' : `/${encodeURIComponent(vhost)}`;
    return `amqp://${login}${host}:${names.port('RABBITMQ_PORT') ?? '5672'}${path}`;
  },
  mailUrl: (names) => smtp(names) ?? gmail(names),
};

function smtp(names: Names): string | undefined {
  const host = names.host('SMTP_HOST', 'SMTP_SERVER');
  if (host === undefined) return undefined;
  const port = names.port('SMTP_PORT') ?? '587';
  return `${port === '465' ? 'smtps' : 'smtp'}://${smtpLogin(names, host)}${host}:${port}`;
}

function smtpLogin(names: Names, host: string): string {
  const [user, password] = [names.text('SMTP_USERNAME', 'SMTP_USER'), names.text('SMTP_PASSWORD')];
  if (user !== undefined) {
    if (password === undefined) names.refuse('SMTP_USERNAME needs SMTP_PASSWORD; set both or neither.');
    return loginOf(user, password);
  }
  // The password of a Gmail account goes to Gmail only, whoever else sends the mails.
  if (!/^smtp\.(gmail|googlemail)\.com$/i.test(host)) return '';
  const account = gmailAccount(names);
  return account === undefined ? '' : loginOf(account.address, account.password);
}

function gmail(names: Names): string | undefined {
  const account = gmailAccount(names);
  return account && `smtp://${loginOf(account.address, account.password)}smtp.gmail.com:587`;
}

/** Undefined without a password: the address alone is the sender only. */
function gmailAccount(names: Names): { address: string; password: string } | undefined {
  const [address, password] = [names.text('GMAIL_ADDRESS'), names.text('GMAIL_PASSWORD')];
  if (password === undefined) return undefined;
  if (address !== undefined) return { address, password };
  names.refuse('GMAIL_PASSWORD needs GMAIL_ADDRESS; set both or neither.');
  return undefined;
}

function loginOf(user: string | undefined, password: string | undefined): string {
  if (user === undefined) return '';
  const secret = password === undefined ? '' : `:${encodeURIComponent(password)}`;
  return `${encodeURIComponent(user)}${secret}@`;
}

const HOST = /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?$/;
const PORT = /^[1-9]\d{0,4}$/;
/** What Kubernetes sets for a Service of that name: the address of the Service, not a setting of anybody. */
const SERVICE_LINK = /^(tcp|udp|sctp):\/\//;

/** Reads the family's names; an empty value counts as unset. */
class Names {
  readonly #env: Environment;
  readonly #problems: string[];

  constructor(env: Environment, problems: string[]) {
    this.#env = env;
    this.#problems = problems;
  }

  /** The first of `names` that is set. */
  text(...names: readonly string[]): string | undefined {
    return this.#set(names)?.value;
  }

  host(...names: readonly string[]): string | undefined {
    const set = this.#set(names);
    if (set === undefined) return undefined;
    if (isIP(set.value) === 6) return `[${set.value}]`;
    return HOST.test(set.value) ? set.value : this.#malformed(set.name, 'host name or address');
  }

  port(name: string): string | undefined {
    const value = this.text(name);
    if (value === undefined || SERVICE_LINK.test(value)) return undefined;
    return PORT.test(value) && Number(value) <= 65_535 ? value : this.#malformed(name, 'port, 1 to 65535');
  }

  /** `auth:5000`, or an http(s) URL already. */
  httpAddress(name: string): string | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const url = /^https?:\/\//.test(value) ? value : `http://${value}`;
    const isGood = URL.canParse(url) && !/[?#@\s]/.test(url);
    return isGood ? url.replace(/\/+$/, '') : this.#malformed(name, 'host:port');
  }

  /** The URI of `own` as it is, where it names a database; else `database` there, or on the server of all. */
  mongo(own: string | undefined, database: string): string | undefined {
    const named = own === undefined ? undefined : this.#set([own]);
    const set = named ?? this.#set(['MONGO_URI', 'MONGODB_URI']);
    if (set === undefined) return undefined;
    const url = withDatabase(set.value, database, named === undefined ? 'replace' : 'keep');
    return url ?? this.#malformed(set.name, 'mongodb://host:27017');
  }

  refuse(problem: string): string | undefined {
    if (!this.#problems.includes(problem)) this.#problems.push(problem);
    return undefined;
  }

  #set(names: readonly string[]): { name: string; value: string } | undefined {
    for (const name of names) {
      const value = this.#env[name];
      if (value !== undefined && value !== '') return { name, value };
    }
    return undefined;
  }

  #malformed(name: string, form: string): string | undefined {
    return this.refuse(`${name} is not of the form: ${form}.`);
  }
}

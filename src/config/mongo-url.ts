// MongoDB's connection strings name several hosts, which no URL parser takes (Connection String Format,
// https://www.mongodb.com/docs/manual/reference/connection-string/).
const MONGO_URL = /^(mongodb(\+srv)?:\/\/)(?:([^@/]*)@)?([^@/?#]+)(?:\/([^/?#]*))?(?:\?([^#]*))?$/;

/** True for `mongodb://…` and `mongodb+srv://…`. */
export function isMongoUrl(url: string): boolean {
  return MONGO_URL.test(url);
}

/**
 * The same server, user and options with `database` in the path; `keep`: only where the path names none. The user stays
 * the one that he was: a database in the path is where the user is known unless `authSource` says so, else `admin`.
 * Undefined where `url` is no URL of MongoDB.
 */
export function withDatabase(url: string, database: string, mode: 'keep' | 'replace'): string | undefined {
  const parts = MONGO_URL.exec(url);
  if (parts === null) return undefined;
  const [, scheme = '', srv, login, hosts = '', path = '', options = ''] = parts;
  if (path !== '' && mode === 'keep') return url;
  // The DNS record of a +srv name tells authSource, too; where it does not, users are known in `admin`.
  const source = srv !== undefined || path === '' ? 'admin' : path;
  const isUserKept = login === undefined || /(^|&)(authSource|authMechanism)=/i.test(options);
  const all = isUserKept ? options : [options, `authSource=${source}`].filter((one) => one !== '').join('&');
  const at = login === undefined ? '' : `${login}@`;
  return `${scheme}${at}${hosts}/${database}${all === '' ? '' : `?${all}`}`;
}

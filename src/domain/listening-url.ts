// An address that stands for all addresses of a machine is none that a browser could open.
const SHOWN: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '[::1]' };

/** Where a browser on this machine finds what listens on `host` (a name or an address) and `port`. */
export function listeningUrl(host: string, port: number): string {
  const name = SHOWN[host] ?? (host.includes(':') ? `[${host}]` : host);
  return `http://${name}:${String(port)}`;
}

/**
 * True where an `Accept` header (RFC 9110, 12.5.1) asks for JSON rather than text. `*\/*`, no header, and clients
 * that take both alike (axios sends `application/json, text/plain, *\/*`) get the family's plain text.
 */
export function prefersJson(accept: string | undefined): boolean {
  const ranges = (accept ?? '').split(',').map(parseRange);
  const weight = (...types: string[]): number => {
    for (const type of types) {
      const weights = ranges.filter((range) => range.type === type).map((range) => range.weight);
      if (weights.length > 0) return Math.max(...weights);
    }
    return 0;
  };
  const text = Math.max(weight('text/html', 'text/*', '*/*'), weight('text/plain', 'text/*', '*/*'));
  return weight('application/json', 'application/*') > text;
}

function parseRange(range: string): { type: string; weight: number } {
  const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
  const q = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
  const weight = q === undefined ? 1 : Number(q);
  return { type, weight: Number.isFinite(weight) ? weight : 0 };
}

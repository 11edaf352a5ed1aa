// `npm run bench -- <name> [arguments]`: each benchmark prints ratios against a named peer measured in the same run.

const BENCHMARKS: Readonly<Record<string, () => Promise<{ run(args: readonly string[]): Promise<void> }>>> = {
  'first-track': () => import('./first-track.ts'),
  'upload-memory': () => import('./upload-memory.ts'),
  flow: () => import('./flow.ts'),
};

const [name, ...args] = process.argv.slice(2);
const load = name === undefined ? undefined : BENCHMARKS[name];
if (load === undefined) {
  console.error(`Benchmarks: ${Object.keys(BENCHMARKS).join(', ')}. Try: npm run bench -- first-track`);
  process.exitCode = 2;
} else {
  await (await load()).run(args);
}

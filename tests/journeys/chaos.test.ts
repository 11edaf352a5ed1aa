import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../scripts/chaos.ts', import.meta.url));
const SEED = process.env.CHAOS_SEED ?? String((Date.now() % 1_000_000) + 1);

test(
  'two minutes of kills of every process and server: nothing is lost, doubled, stuck or an orphan',
  { timeout: 900_000 },
  async (t) => {
    t.diagnostic(`seed ${SEED} (repeat with CHAOS_SEED)`);
    const command = ['--pdeathsig', 'KILL', '--', process.execPath, SCRIPT, '--minutes', '2', '--seed', SEED];
    const child = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    const exit = once(child, 'exit');
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) lines.push(line);
    const [code] = (await exit) as [number | null];
    assert.match(
      lines.at(-1) ?? '',
      /^chaos: .* lost=0 doubled=0 stuck=0 orphans=0$/,
      lines.slice(-80).join('\n'),
    );
    assert.equal(code, 0, lines.slice(-80).join('\n'));
    const [, kills, accepted] = /kills=(\d+) accepted=(\d+)/.exec(lines.at(-1) ?? '') ?? [];
    assert.ok(Number(kills) >= 12 && Number(accepted) >= 60, `it did too little: ${lines.at(-1) ?? ''}`);
  },
);

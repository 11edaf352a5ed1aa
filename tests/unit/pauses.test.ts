import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pauses } from '../../src/services/notification/pauses.ts';

/** The pauses of something that is tried in vain for so long, each after the one before. */
function pausesOver(pauses: Pauses, key: string, totalMs: number): number[] {
  const all: number[] = [];
  for (let now = 0; now < totalMs; now += all.at(-1) ?? 0) all.push(pauses.next(key, now));
  return all;
}

test('an outage of seconds costs seconds, and a long one is tried every pause', () => {
  const pauses = new Pauses({ firstMs: 1_000, longestMs: 15_000 });
  const all = pausesOver(pauses, 'm', 120_000);
  assert.ok((all[0] ?? 0) >= 800 && (all[0] ?? 0) <= 1_000);
  assert.ok(all.findIndex((pause) => pause > 12_000) >= 4, 'it grows step by step');
  for (const pause of all) assert.ok(pause <= 15_000);
  for (const pause of all.slice(-3)) assert.ok(pause >= 12_000);
  const early = pausesOver(new Pauses({ firstMs: 1_000, longestMs: 15_000 }), 'm', 3_000);
  const until = early.reduce((sum, pause) => sum + pause, 0);
  assert.ok(until < 6_000, `a server that is back after 3 s is tried before ${String(until)} ms`);
});

test('each has its own, and begins anew when it is forgotten', () => {
  const pauses = new Pauses({ firstMs: 1_000, longestMs: 15_000 });
  pauses.next('a', 0);
  assert.ok(pauses.next('a', 60_000) > 1_000);
  assert.ok(pauses.next('b', 60_000) <= 1_000);
  assert.ok(pauses.has('a') && !pauses.has('c'));
  pauses.forget('a');
  assert.ok(!pauses.has('a') && pauses.next('a', 60_000) <= 1_000);
});

test('the longest pause bounds the first', () => {
  assert.ok(new Pauses({ firstMs: 1_000, longestMs: 20 }).next('a', 0) <= 20);
});

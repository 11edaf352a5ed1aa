import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prefersJson } from '../../src/domain/accept.ts';

for (const [accept, expected] of [
  [undefined, false],
  ['', false],
  ['*/*', false],
  ['text/html', false],
  ['application/json, text/plain, */*', false],
  ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', false],
  ['application/json;q=0', false],
  ['application/json;q=rubbish', false],
  ['application/json', true],
  ['Application/JSON; charset=utf-8', true],
  ['application/json, */*;q=0.5', true],
  ['text/plain;q=0.3, application/json;q=0.4', true],
  ['application/*', true],
] as const) {
  test(`Accept ${JSON.stringify(accept)} ${expected ? 'prefers' : 'does not prefer'} JSON`, () => {
    assert.equal(prefersJson(accept), expected);
  });
}

import assert from 'node:assert/strict';

const TEXT = 'text/html; charset=utf-8';

/** Status and body as the contract's table writes them, and the contract's content type. */
export async function expectText(answer: Response, status: number, body: string): Promise<void> {
  assert.deepEqual([answer.status, await answer.text()], [status, body]);
  assert.equal(answer.headers.get('content-type'), TEXT);
  assert.ok(answer.headers.get('x-request-id'));
}

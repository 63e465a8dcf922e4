// What is waited for only so long (sw/clock.js): the app's own functions, which may never answer.
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { withAsking } from '../../sw/ask.js';
import { within } from '../../sw/clock.js';

/** A clock whose timers run when the test says. */
function hand() {
  const timers = new Set();
  return { timers, expire: () => { for (const run of timers) run(); }, timer: (_ms, run) => { timers.add(run); return () => timers.delete(run); } };
}
const never = () => new Promise(() => {});

test('what is done in time is answered, and leaves neither timer nor listener', async () => {
  const clock = hand(), { signal } = new AbortController();
  assert.equal(await within(clock, 10, async () => 'done', signal), 'done');
  assert.equal(await within(clock, 10, () => 'at once', signal), 'at once');
  await assert.rejects(within(clock, 10, () => { throw new Error('mine'); }, signal), /^Error: mine$/);
  assert.equal(clock.timers.size, 0);
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('what takes longer rejects with how long, and so does what is given up', async () => {
  const clock = hand(), stop = new AbortController();
  const late = within(clock, 10, never);
  clock.expire();
  await assert.rejects(late, /^Error: it took longer than 10 ms$/);
  const ended = within(clock, 10, never, stop.signal);
  stop.abort();
  await assert.rejects(ended, /longer/);
  assert.equal(clock.timers.size, 0);
});

test('a migration that does not answer is not waited for, and the reason is told', async () => {
  const clock = hand(), { signal } = new AbortController();
  const { send } = withAsking({ send: never }, clock, undefined, never);
  const outcome = send({ type: 'ask', detail: { ours: '{"n":1}', from: 1 } }, undefined, signal);
  clock.expire();
  assert.deepEqual(await outcome, { message: 'Error: it took longer than 30000 ms' });
});

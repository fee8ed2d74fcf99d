import t from 'tap';
import { Behind } from '../../src/mirror/behind.ts';
import { makeGate } from '../helpers/waiting.ts';

t.test('work behind is begun once for each thing, and no more than is bounded', async (t) => {
  const gate = makeGate();
  const begun: string[] = [];
  const behind = new Behind(2, () => t.fail('nothing fails here'));
  const begin = (key: string): void =>
    behind.begin(key, async () => {
      begun.push(key);
      await gate.opened;
    });
  for (const key of ['a', 'a', 'b', 'c', 'b']) begin(key);
  t.same(begun, ['a', 'b']);
  gate.open();
  await new Promise(setImmediate);
  begin('c');
  begin('a');
  t.same(begun, ['a', 'b', 'c', 'a']);
});

t.test('its failure is told, and is nobody’s', async (t) => {
  const failed: unknown[] = [];
  const behind = new Behind(1, (key, error) => failed.push([key, error]));
  const error = new Error('of the work');
  behind.begin('a', () => Promise.reject(error));
  await new Promise(setImmediate);
  t.same(failed, [['a', error]]);
  behind.begin('a', async () => t.pass('it is begun again'));
});

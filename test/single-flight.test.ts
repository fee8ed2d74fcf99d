import t from 'tap';
import { SingleFlight } from '../src/single-flight.ts';

t.test('who asks while it runs joins', async (t) => {
  const flight = new SingleFlight<number>();
  const gate = Promise.withResolvers<number>();
  let started = 0;
  const work = (): Promise<number> => {
    started += 1;
    return gate.promise;
  };
  const asked = [flight.run('a', work), flight.run('a', work), flight.run('a', work)];
  t.same(
    asked.map(({ joined }) => joined),
    [false, true, true],
  );
  t.same([started, flight.size], [1, 1]);
  gate.resolve(7);
  t.same(await Promise.all(asked.map(({ result }) => result)), [7, 7, 7]);
  t.equal(flight.size, 0, 'nothing is remembered');
  t.equal(flight.run('a', async () => 8).joined, false);
});

t.test('keys do not wait for each other', async (t) => {
  const flight = new SingleFlight<string>();
  const slow = Promise.withResolvers<string>();
  const waiting = flight.run('slow', () => slow.promise);
  t.equal(await flight.run('fast', async () => 'fast').result, 'fast');
  slow.resolve('slow');
  t.equal(await waiting.result, 'slow');
});

t.test('a failure is told to all who wait, and to nobody after', async (t) => {
  const flight = new SingleFlight<number>();
  const gate = Promise.withResolvers<number>();
  const asked = [1, 2].map(() => flight.run('a', () => gate.promise).result);
  gate.reject(new Error('down'));
  const results = await Promise.allSettled(asked);
  t.same(
    results.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  t.equal(await flight.run('a', async () => 1).result, 1);
});

t.test('work that fails before it starts leaves nothing behind', async (t) => {
  const flight = new SingleFlight<number>();
  const work = (): Promise<number> => {
    throw new Error('at once');
  };
  t.throws(() => flight.run('a', work), { message: 'at once' });
  t.equal(flight.size, 0);
});

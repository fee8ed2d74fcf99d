import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { Poller, waitMs } from '../../page/poller.ts';

/** Time that passes when the test says so. */
function makeTimers() {
  let nowMs = 0;
  const due = new Map<object, { atMs: number; then: () => void }>();
  const pass = async (ms: number): Promise<void> => {
    await turn();
    const end = nowMs + ms;
    for (;;) {
      const [first] = [...due].filter(([, { atMs }]) => atMs <= end).sort(([, a], [, b]) => a.atMs - b.atMs);
      if (!first) break;
      nowMs = first[1].atMs;
      due.delete(first[0]);
      first[1].then();
      await turn();
    }
    nowMs = end;
    await turn();
  };
  const timers = {
    set: (then: () => void, afterMs: number) => {
      const timer = {};
      due.set(timer, { atMs: nowMs + afterMs, then });
      return timer;
    },
    clear: (timer: unknown) => void due.delete(timer as object),
  };
  return { timers, pass, waiting: () => due.size };
}

interface Question {
  signal: AbortSignal;
  answer: (text: string) => void;
  fail: (error: Error) => void;
}

function makePoller() {
  const clock = makeTimers();
  const asked: Question[] = [];
  const got: string[] = [];
  const failed: [string, number][] = [];
  const poller = new Poller<string>({
    intervalMs: 2_000,
    deadlineMs: 5_000,
    timers: clock.timers,
    random: () => 0.5,
    ask: (signal) =>
      new Promise((answer, fail) => {
        asked.push({ signal, answer, fail });
        signal.addEventListener('abort', () => fail(signal.reason as Error));
      }),
    got: (answer) => got.push(answer),
    failed: (error, failures) => failed.push([(error as Error).message, failures]),
  });
  return { ...clock, asked, got, failed, poller };
}

t.test('asks again an interval after each answer', async (t) => {
  const { poller, asked, got, pass } = makePoller();
  poller.start();
  await pass(4_000);
  t.equal(asked.length, 1, 'one question at a time');
  asked[0]?.answer('one');
  await pass(1_999);
  t.equal(asked.length, 1);
  await pass(1);
  t.equal(asked.length, 2);
  t.same(got, ['one']);
});

t.test('who does not answer in time has failed, and is asked less and less often', async (t) => {
  const { poller, asked, failed, got, pass } = makePoller();
  poller.start();
  await pass(5_000);
  t.same(failed, [['no answer in time', 1]]);
  await pass(2_000);
  asked[1]?.fail(new Error('refused'));
  await pass(3_999);
  t.equal(asked.length, 2, 'it is not asked as soon as before');
  await pass(1);
  asked[2]?.answer('back');
  await pass(2_000);
  t.same(
    failed.map(([, failures]) => failures),
    [1, 2],
  );
  t.same([got, asked.length], [['back'], 4], 'and as often as before when it answers');
});

t.test('the waits grow to a bound', async (t) => {
  t.same(
    [0, 1, 2, 3, 4, 5, 60].map((failures) => waitMs(2_000, failures, 0.5)),
    [2000, 2000, 4000, 8000, 16_000, 20_000, 20_000],
  );
  t.same([waitMs(2_000, 9, 0), waitMs(2_000, 9, 1)], [16_000, 24_000], 'not all pages at once');
});

t.test('while it is paused nothing is asked, and nothing is shown', async (t) => {
  const { poller, asked, got, failed, pass, waiting } = makePoller();
  poller.start();
  poller.pause();
  t.ok(asked[0]?.signal.aborted, 'what was asked is given up');
  asked[0]?.answer('late');
  poller.askNow();
  await pass(60_000);
  t.same([asked.length, got, failed, waiting()], [1, [], [], 0]);
  poller.start();
  asked[1]?.answer('seen again');
  await pass(0);
  t.same(got, ['seen again']);
});

t.test('the answer to an older question is not shown', async (t) => {
  const { poller, asked, got, failed, pass } = makePoller();
  poller.start();
  poller.askNow();
  asked[1]?.answer('new');
  asked[0]?.answer('old');
  await pass(0);
  t.same([got, failed], [['new'], []]);
  t.ok(asked[0]?.signal.aborted);
});

import fc from 'fast-check';
import t from 'tap';
import { FillSources, type OpenInput, type OpenOptions } from '../../src/store/fill-sources.ts';
import { turns } from './rig.ts';
import { bytesOf, Source } from './source.ts';

const SIZE = 100_000;
const content = bytesOf(SIZE);
const signal = new AbortController().signal;

function origin(repository: string, upstream = 'docker.io') {
  return { upstream, repository };
}

/** One that breaks once it has sent so much. */
function breaking(upTo: number, why: string): Source {
  return new Source(content, { allowed: upTo, failure: new Error(why) });
}

/** Sources of which the first is asked. @returns what they send together; `got` holds what came before a failure */
async function copy(
  opens: readonly OpenInput[],
  { from = 0, signal: until = signal, got = [] as Buffer[] } = {},
): Promise<Buffer> {
  const [first = never, ...others] = opens;
  const sources = new FillSources(origin('first'), first);
  for (const [at, open] of others.entries()) sources.add(origin(`other-${at}`), open);
  const input = await sources.open({ from, signal: until, purpose: 'fill' });
  if (!input) throw new Error('the first does not have it');
  for await (const chunk of sources.chunks(input, from, until)) got.push(chunk);
  return Buffer.concat(got);
}

async function never(): Promise<never> {
  throw new Error('there is a first');
}

t.test('the first source is asked for all', async (t) => {
  const [first, other] = [new Source(content), new Source(content)];
  t.ok((await copy([first.open, other.open])).equals(content));
  t.same([first.asked, other.asked], [[0], []]);
});

t.test('where it fails for good, another goes on at the same offset', async (t) => {
  const sources = [breaking(30_001, 'reset'), breaking(50_003, 'reset'), new Source(content)];
  const got = await copy(
    sources.map(({ open }) => open),
    { from: 7 },
  );
  t.ok(got.equals(content.subarray(7)));
  t.same(
    sources.map(({ asked }) => asked),
    [[7], [30_001], [50_003]],
  );
});

t.test('one that came while it ran goes on too', async (t) => {
  const [first, late] = [new Source(content, { allowed: 30_000 }), new Source(content)];
  const sources = new FillSources(origin('first'), first.open);
  const got: Buffer[] = [];
  const copying = (async () => {
    for await (const chunk of sources.chunks(first.input(), 0, signal)) got.push(chunk);
  })();
  await turns();
  sources.add(origin('late'), late.open);
  first.fail(new Error('reset'));
  await copying;
  t.ok(Buffer.concat(got).equals(content));
  t.same(late.asked, [30_000]);
});

t.test('one that says another size, has it not, or fails to answer is passed over', async (t) => {
  const last = new Source(content);
  const odd: OpenInput[] = [
    new Source(content, { size: SIZE + 1 }).open,
    new Source(content, { size: undefined }).open,
    async () => undefined,
    async () => {
      throw new Error('denied');
    },
  ];
  t.ok((await copy([breaking(30_000, 'reset').open, ...odd, last.open])).equals(content));
  t.same(last.asked, [30_000]);
});

t.test('each is asked once', async (t) => {
  const sources = [breaking(10_000, 'reset'), breaking(20_000, 'reset'), breaking(30_000, 'reset')];
  const got: Buffer[] = [];
  const copying = copy([...sources.map(({ open }) => open), never], { got });
  await t.rejects(copying, { message: 'reset' });
  t.ok(Buffer.concat(got).equals(content.subarray(0, 30_000)), 'what came is right');
  t.same(
    sources.map(({ asked }) => asked.length),
    [1, 1, 1],
  );
});

t.test('where nobody has the rest, the first failure is the one that is told', async (t) => {
  const first = (): OpenInput => breaking(10_000, 'the first').open;
  await t.rejects(copy([first()]), { message: 'the first' });
  const denied = async (): Promise<never> => {
    throw new Error('denied');
  };
  await t.rejects(copy([first(), denied, async () => undefined]), { message: 'the first' });
});

t.test('aborted: nobody else is asked', async (t) => {
  const [first, other] = [new Source(content, { allowed: 10_000 }), new Source(content)];
  const abort = new AbortController();
  const copying = copy([first.open, other.open], { signal: abort.signal });
  await turns();
  abort.abort(new Error('nobody reads it'));
  await t.rejects(copying, { message: 'nobody reads it' });
  t.same(other.asked, []);
});

t.test('aborted while another is asked: the others are not', async (t) => {
  const abort = new AbortController();
  const last = new Source(content);
  const silent: OpenInput = async ({ signal }) => {
    abort.abort(new Error('nobody reads it'));
    signal.throwIfAborted();
    return undefined;
  };
  const copying = copy([breaking(10_000, 'reset').open, silent, last.open], { signal: abort.signal });
  await t.rejects(copying, { message: 'nobody reads it' });
  t.same(last.asked, []);
});

t.test('the whole is asked for again elsewhere first, over another connection', async (t) => {
  const asked: [name: string, options: OpenOptions][] = [];
  const source =
    (name: string, answer: 'has it' | 'has it not' | 'fails'): OpenInput =>
    async (options) => {
      asked.push([name, options]);
      if (answer === 'fails') throw new Error(`${name} fails`);
      return answer === 'has it' ? new Source(content).input() : undefined;
    };
  const sources = new FillSources(origin('first'), source('first', 'has it'));
  t.ok(await sources.openAgain(signal));
  t.match(asked, [['first', { from: 0, purpose: 'again' }]], 'there is no other');
  sources.add(origin('second'), source('second', 'fails'));
  sources.add(origin('third'), source('third', 'has it not'));
  t.ok(await sources.openAgain(signal));
  sources.add(origin('fourth'), source('fourth', 'has it'));
  t.ok(await sources.openAgain(signal));
  t.same(
    asked.map(([name]) => name),
    ['first', 'second', 'third', 'first', 'second', 'third', 'fourth'],
  );
  t.ok(
    asked.every(
      ([, { from, purpose, signal: given }]) => from === 0 && purpose === 'again' && given === signal,
    ),
  );
});

t.test('asked again, the last failure is told, and so is absence', async (t) => {
  const failing = (why: string): OpenInput => {
    return async () => {
      throw new Error(why);
    };
  };
  const sources = new FillSources(origin('first'), failing('the first'));
  sources.add(origin('second'), failing('the second'));
  await t.rejects(sources.openAgain(signal), { message: 'the first' });
  t.equal(await new FillSources(origin('first'), async () => undefined).openAgain(signal), undefined);
});

t.test('aborted while it is asked for again', async (t) => {
  const abort = new AbortController();
  const asked: string[] = [];
  const sources = new FillSources(origin('first'), async () => {
    asked.push('first');
    return undefined;
  });
  sources.add(origin('second'), async () => {
    abort.abort(new Error('stopping'));
    throw new Error('broke');
  });
  await t.rejects(sources.openAgain(abort.signal), { message: 'stopping' });
  t.same(asked, []);
});

t.test('the same repository is one source, and no more than eight are remembered', async (t) => {
  const asked: number[] = [];
  const source =
    (name: number): OpenInput =>
    async () => {
      asked.push(name);
      return undefined;
    };
  const sources = new FillSources(origin('first'), source(0));
  for (let round = 0; round < 3; round++)
    for (let name = 1; name < 12; name++) sources.add(origin(`other-${name}`), source(name));
  sources.add(origin('first', 'ghcr.io'), source(99));
  await sources.openAgain(signal);
  t.same(asked, [1, 2, 3, 4, 5, 6, 7, 0]);
});

t.test('whoever breaks where: together they send what is right, or fail', async () => {
  const source = fc.record({
    upTo: fc.option(fc.nat(SIZE), { nil: undefined }),
    size: fc.constantFrom(SIZE, 5),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(source, { maxLength: 6 }), fc.nat(SIZE), async (others, breaksAt) => {
      const opens = others.map(({ upTo, size }) => {
        const options = upTo === undefined ? {} : { allowed: upTo, failure: new Error('reset') };
        return new Source(content, { size, ...options }).open;
      });
      const canGoOn = others.some(({ upTo, size }) => upTo === undefined && size === SIZE);
      const got: Buffer[] = [];
      const copying = copy([breaking(breaksAt, 'reset').open, ...opens], { got });
      const isWhole = await copying.then(
        () => true,
        () => false,
      );
      const all = Buffer.concat(got);
      if (!all.equals(content.subarray(0, all.length))) throw new Error('other bytes');
      if (isWhole !== canGoOn || (isWhole && all.length < SIZE)) throw new Error(`whole: ${isWhole}`);
    }),
    { numRuns: 100 },
  );
});

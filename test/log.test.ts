import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { describeError } from '../src/log.ts';

/** What a process writes that logs these things; a logger writes to standard output alone. */
async function logged(format: 'json' | 'text', level: string, statements: string): Promise<string> {
  const program = `import { createLogger } from ${JSON.stringify(join(import.meta.dirname, '../src/log.ts'))};
    const { log, flush } = await createLogger({ level: '${level}', format: '${format}' });
    setImmediate(() => { ${statements}; flush(); });`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program]);
  return stdout;
}

t.test('one JSON object a line, of the level that is asked for', async (t) => {
  const text = await logged(
    'json',
    'info',
    `log.info({ bytes: 7 }, 'request'); log.debug('no'); log.warn('yes')`,
  );
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.match(lines, [{ msg: 'request', bytes: 7, time: /^\d{4}-\d\d-\d\dT/ }, { msg: 'yes' }]);
  t.equal(lines.length, 2);
  t.notOk('pid' in lines[0] || 'hostname' in lines[0]);
});

t.test('secrets are not written, wherever they were put', async (t) => {
  const secrets = `authorization: 'hunter2', password: 'hunter2', token: 'hunter2', secret: 'hunter2', credentials: ['hunter2']`;
  const statements = `log.info({ ${secrets} }, 'a'); log.info({ headers: { ${secrets} } }, 'b')`;
  for (const format of ['json', 'text'] as const) {
    const text = await logged(format, 'info', statements);
    t.notMatch(text, /hunter2/);
    t.match(text, /\*\*\*/);
  }
});

t.test('errors are told with their causes', async (t) => {
  const coded = Object.assign(new Error('no space'), { code: 'ENOSPC' });
  const text = await logged(
    'json',
    'info',
    `log.error({ error: new Error('a', { cause: new TypeError('b') }) }, 'x')`,
  );
  t.match(JSON.parse(text).error, {
    name: 'Error',
    message: 'a',
    cause: { name: 'TypeError', stack: /log\.test|eval/ },
  });
  t.same(describeError(coded), { name: 'Error', message: 'no space', code: 'ENOSPC' });
  const named = Object.assign(new Error('down', { cause: coded }), {
    name: 'UpstreamError',
    reason: 'reset',
  });
  t.same(describeError(named), {
    ...{ name: 'UpstreamError', message: 'down', reason: 'reset' },
    cause: { name: 'Error', message: 'no space', code: 'ENOSPC' },
  });
  t.equal(describeError('text'), 'text');
  t.equal(describeError(undefined), 'undefined');
  t.ok('stack' in Object(describeError(new RangeError('ours'))), 'a fault of ours has its stack');
});

t.test('an error that is its own cause ends nothing', async (t) => {
  const error = new Error('round');
  error.cause = new Error('and round', { cause: error });
  t.doesNotThrow(() => describeError(error));
});

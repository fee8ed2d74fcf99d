import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { helpOf } from '../../src/cli/index.ts';
import { explainUsage, UsageError } from '../../src/cli/usage-error.ts';
import { run } from '../helpers/command.ts';

const ROOT = new URL('../../', import.meta.url);

function explain(message: string, ...args: string[]): Promise<string> {
  return explainUsage(new UsageError(message), args, (command) => helpOf(command, 110));
}

t.test('a flag that is not known: which, what was likely meant, where to read on', async (t) => {
  const { code, stderr } = await run('serve', '--max-sise', '5GiB', '--ofline');
  t.equal(code, 2);
  t.equal(
    stderr,
    'hubcap: Unknown argument: --max-sise; did you mean --max-size?\n' +
      'Unknown argument: --ofline; did you mean --offline?\n' +
      'Try `hubcap serve --help`.\n',
  );
});

t.test('other mistakes are told in words of their own', async (t) => {
  const missing = 'Not enough non-option arguments: got 0, need at least 1';
  t.equal(await explain(missing, 'pin'), 'Too few arguments.\nTry `hubcap pin --help`.');
  const misspelt = await explain('Did you mean serve?', 'srve');
  t.equal(misspelt, 'srve is no command; did you mean serve?\nTry `hubcap --help`.');
  const unknown = await explain('Unknown argument: frobnicate', 'frobnicate');
  t.equal(unknown, 'Unknown argument: frobnicate\nTry `hubcap --help`.');
  const extra = await explain('Unknown arguments: more, zzzzzz', 'status', 'more', '--zzzzzz=1');
  t.equal(extra, 'Unknown argument: more\nUnknown argument: --zzzzzz\nTry `hubcap status --help`.');
  t.equal(await explain('Name a command.'), 'Name a command.\nTry `hubcap --help`.');
});

t.test('a Node that is too old is told so, without a stack', async (t) => {
  const { engines } = JSON.parse(await readFile(new URL('package.json', ROOT), 'utf8')) as {
    engines: { node: string };
  };
  const oldest = Number(/^>=(\d+)$/.exec(engines.node)?.[1]);
  const asIf = (version: string) =>
    `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"${version}"}})`;
  const main = fileURLToPath(new URL('src/main.ts', ROOT));
  const runAs = (version: string) =>
    new Promise<{ code: unknown; stderr: string }>((resolve) => {
      execFile(process.execPath, ['--import', asIf(version), main, '--version'], (error, _, stderr) =>
        resolve({ code: error?.code ?? 0, stderr }),
      );
    });
  const tooOld = await runAs(`${oldest - 1}.9.0`);
  t.equal(tooOld.code, 1);
  t.match(tooOld.stderr, `hubcap: Node.js ${oldest} or newer is needed; this is ${oldest - 1}.9.0`);
  t.notMatch(tooOld.stderr, /\n\s+at /);
  t.same(await runAs(`${oldest}.0.0`), { code: 0, stderr: '' });
});

/** Owns the list of commands, and what becomes of their failures. */
import { readFileSync } from 'node:fs';
import yargs from 'yargs';
import { ConfigError } from '../config/load.ts';
import { check } from './check.ts';
import { exportBundle } from './export.ts';
import { images } from './images.ts';
import { importArchives } from './import.ts';
import { InterruptedError } from './interruption.ts';
import { misses } from './misses.ts';
import { offline } from './offline.ts';
import { pin } from './pin.ts';
import { prewarm } from './prewarm.ts';
import { reload } from './reload.ts';
import { remove } from './remove.ts';
import { ReportedError } from './reported-error.ts';
import { serve } from './serve.ts';
import { setup } from './setup.ts';
import { status } from './status.ts';
import { unpin } from './unpin.ts';
import { explainUsage, UsageError } from './usage-error.ts';
import { verify } from './verify.ts';

const DONE = 0;
const FAILED = 1;
const USAGE = 2;

const MAX_COLUMNS = 110;

/** Commands whose end says whether they did what they were asked for. */
const WORKING: ReadonlySet<string> = new Set(['verify', 'prewarm', 'export', 'import', 'remove', 'check']);

/**
 * Runs one command.
 * @param args without the program's name
 * @returns the exit code
 */
export async function runCli(args: readonly string[]): Promise<number> {
  const parser = makeParser(
    args,
    readVersion(),
    Math.min(MAX_COLUMNS, process.stdout.columns ?? MAX_COLUMNS),
  );
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // Whoever read has seen enough: `hubcap images | head`. Of work that is not done nobody has seen the end then.
    if (error.code === 'EPIPE') process.exit(WORKING.has(args[0] ?? '') ? FAILED : DONE);
    process.stderr.write(`hubcap: standard output cannot be written: ${error.message}\n`);
    process.exit(FAILED);
  });
  try {
    await parser.parseAsync();
    return DONE;
  } catch (error) {
    if (!(error instanceof UsageError)) return report(error);
    const text = await explainUsage(error, args, (command) => helpOf(command, MAX_COLUMNS));
    process.stderr.write(`hubcap: ${text}\n`);
    return USAGE;
  }
}

/**
 * What `--help` says, for the man page.
 * @param command its name; of all of hubcap where it is left out
 * @param columns so wide at most
 */
export function helpOf(command: string | undefined, columns: number): Promise<string> {
  return makeParser(command === undefined ? [] : [command], readVersion(), columns).getHelp();
}

function makeParser(args: readonly string[], version: string, columns: number) {
  return yargs([...args])
    .scriptName('hubcap')
    .usage('hubcap: a pull-through caching mirror for container registries\n\nUsage: $0 <command> [options]')
    .command(serve(version))
    .command(status(version))
    .command(images(version))
    .command(verify(version))
    .command(prewarm(version))
    .command(pin(version))
    .command(unpin(version))
    .command(remove(version))
    .command(exportBundle(version))
    .command(importArchives(version))
    .command(offline())
    .command(reload())
    .command(misses(version))
    .command(setup())
    .command(check(version))
    .demandCommand(1, 'Name a command.')
    .strict()
    .recommendCommands()
    .version(version)
    .help()
    .alias('help', 'h')
    .wrap(columns)
    .epilogue('`hubcap <command> --help` shows its options and examples.')
    .exitProcess(false)
    .fail((message, error) => {
      throw message ? new UsageError(message) : error; // with a message it is yargs that refuses
    });
}

function report(error: unknown): number {
  if (error instanceof ConfigError) {
    process.stderr.write(`hubcap: ${error.message}\n`);
    return USAGE;
  }
  if (error instanceof InterruptedError) {
    process.stderr.write(`hubcap: ${error.message}\n`);
    return error.exitCode;
  }
  const isExplained = error instanceof ReportedError;
  const text = error instanceof Error ? (!isExplained && error.stack) || error.message : String(error);
  process.stderr.write(`hubcap: ${text}\n`);
  return isExplained && error.kind === 'configuration' ? USAGE : FAILED;
}

function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
}

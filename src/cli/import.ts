/** `hubcap import`: images come out of archives into the store. */
import type { Argv, CommandModule } from 'yargs';
import type { Control } from '../admin/control-client.ts';
import type { ImportEvent, ImportedImage, ImportRequest } from '../airgap/commands.ts';
import { type ArchiveSource, openArchive, STDIN } from './archive-source.ts';
import { withControl } from './control.ts';
import { describeBundle, describeImport, type ImportReport } from './import-summary.ts';
import { readUntil, untilInterrupted } from './interruption.ts';
import { allValues, configFrom, withCommonOptions } from './options.ts';
import { printable } from './printable.ts';
import { openProgress } from './progress.ts';
import { checkReferences } from './references.ts';
import { ReportedError } from './reported-error.ts';

interface Options {
  archives?: string[] | undefined;
  as?: string[] | undefined;
  pin?: boolean | undefined;
  'dry-run'?: boolean | undefined;
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
  json?: boolean | undefined;
}

const INTERRUPTED = 'interrupted: of the archive that was being read nothing is imported; import it again';

export function importArchives(version: string): CommandModule<object, Options> {
  return {
    command: 'import <archives..>',
    describe: 'take images out of bundles, and what docker save, podman save and skopeo write',
    builder,
    handler: async ({ archives = [], as = [], pin, json, config, data, control, ...options }) => {
      const how: How = {
        as,
        isPinning: pin !== false,
        isDryRun: options['dry-run'] === true,
        isJson: json === true,
      };
      const loaded = configFrom({ config, data, control });
      await untilInterrupted(INTERRUPTED, (signal) =>
        withControl(loaded, version, (found) => importAll(found, archives, how, signal), { creates: true }),
      );
    },
  };
}

function builder(parser: Argv): Argv<Options> {
  return withCommonOptions(parser)
    .parserConfiguration({ 'unknown-options-as-args': true }) // else yargs loses a lone -
    .positional('archives', {
      type: 'string',
      array: true,
      describe:
        'tar files, plain or compressed with gzip or zstd; directories that are OCI layouts; - is standard input',
    })
    .option('as', {
      type: 'string',
      requiresArg: true,
      coerce: allValues,
      describe: 'REF: the name of the only image; OLD=NEW: another name for one, may be given again',
    })
    .option('pin', {
      type: 'boolean',
      default: true,
      describe: 'keep what is imported: it is never evicted; --no-pin: it may be',
    })
    .option('dry-run', { type: 'boolean', describe: 'prove what is inside and say it; import nothing' })
    .option('json', { type: 'boolean', describe: 'one JSON document per line: what happens, and reports' })
    .check(({ archives = [], as = [] }) => {
      const unknown = archives.find((one) => one.startsWith('-') && one !== STDIN);
      if (unknown !== undefined) throw new Error(`Unknown argument: ${unknown}`);
      if (archives.filter((one) => one === STDIN).length > 1) throw new Error('- can be given once.');
      if (as.length > 0 && archives.length > 1) throw new Error('--as is for one archive at a time.');
      return checkReferences(as.flatMap(namesIn));
    })
    .example('$0 import images.tar next.tar', 'bundles, in the order in which they were made')
    .example(
      '$0 import app.tar --as registry.example.com/team/app:1.2',
      'an archive whose image has no name, or another',
    )
    .example('docker save app:1.2 | zstd | $0 import -', 'from a machine that has the image')
    .example('$0 import next.tar --dry-run', 'what is inside, and whether all that it needs is here')
    .epilogue(
      'Names appear when all of an archive is here and proven; what ends an import before leaves nothing of it. Where FILE.sha256 is beside FILE, as `hubcap export` and `sha256sum` write it, it is compared. Files are looked through before they are sent, so that more than the store holds is refused at once: one that is compressed is unpacked twice for that. Archives of Docker before 25 have no manifests: these are made, the same each time. Of several archives, those after one that is refused are not read.',
    );
}

/** @returns what stands on both sides of the first = */
function namesIn(as: string): string[] {
  const end = as.indexOf('=');
  return end < 0 ? [as] : [as.slice(0, end), as.slice(end + 1)];
}

interface How extends Omit<ImportRequest, 'bytes'> {
  isJson: boolean;
}

async function importAll(
  control: Control,
  archives: readonly string[],
  how: How,
  signal: AbortSignal,
): Promise<void> {
  const { store } = await control.status();
  // What is unpacked may be more than what is kept of it: as much as an import takes in at most.
  const maxBytes = 2 * store.maxBytes + 1024 ** 3;
  for (const [position, path] of archives.entries()) {
    try {
      await importOne(control, await openArchive(path, maxBytes, signal), how, signal);
    } catch (error) {
      const left = archives.slice(position + 1);
      if (left.length > 0 && !signal.aborted) process.stderr.write(`not read: ${left.join(', ')}\n`);
      throw error;
    }
  }
}

async function importOne(
  control: Control,
  source: ArchiveSource,
  how: How,
  signal: AbortSignal,
): Promise<void> {
  const { isJson, ...rest } = how;
  const request = { ...rest, bytes: source.contentBytes };
  if (source.contents && !how.isDryRun) await control.checkImport(source.contents);
  const images: ImportedImage[] = []; // as many as the archive's index has, which is bounded
  let report: ImportReport | undefined;
  for await (const event of shown(control.import(request, source.chunks()), source, isJson, signal)) {
    if (event.kind === 'image') images.push(event);
    if (event.kind === 'report') report = event;
    if (event.kind === 'refused') {
      if (how.isDryRun && !isJson && source.bundle)
        process.stdout.write(describeBundle(source.name, source.bundle.images));
      throw new ReportedError(`${source.name}: ${printable(event.message)}. Nothing was imported`);
    }
  }
  if (!report) throw new ReportedError('the import ended before it was done: see the log of hubcap');
  if (!isJson)
    process.stdout.write(
      describeImport(source.name, images, report, { ...how, isChecked: source.isChecked }),
    );
}

/** Passes on what happens, and shows how far it is. @throws what made reading the archive fail; the signal's reason */
async function* shown(
  events: AsyncIterable<ImportEvent>,
  source: ArchiveSource,
  isJson: boolean,
  signal: AbortSignal,
): AsyncGenerator<ImportEvent> {
  const progress = isJson ? undefined : openProgress(process.stderr);
  try {
    for await (const event of readUntil(events, signal)) {
      if (source.failure !== undefined) throw source.failure;
      if (isJson) process.stdout.write(`${JSON.stringify({ from: source.name, ...event })}\n`);
      if (event.kind === 'progress')
        progress?.update({ bytes: source.readBytes, totalBytes: source.totalBytes });
      if (event.kind === 'note' && !isJson) {
        progress?.clear();
        process.stderr.write(`${printable(event.message)}\n`);
      }
      yield event;
    }
  } catch (error) {
    throw source.failure ?? error;
  } finally {
    progress?.end();
  }
}

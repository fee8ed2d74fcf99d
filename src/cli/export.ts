/** `hubcap export`: images go into one file that carries them across an air gap. */
import type { Argv, CommandModule } from 'yargs';
import type { Control } from '../admin/control-client.ts';
import type { ExportPlan, ExportRequest } from '../airgap/commands.ts';
import { formatBytes } from '../units.ts';
import { refuseExisting, type Writing, writeBundleFile, writeBundleOut } from './bundle-file.ts';
import { checksumPath } from './checksum-line.ts';
import { withControl } from './control.ts';
import { readEarlier } from './earlier-bundles.ts';
import { untilInterrupted } from './interruption.ts';
import { allValues, configFrom, oneValue, withCommonOptions } from './options.ts';
import { requestedPlatforms, withPlatformOption } from './platforms.ts';
import { printable } from './printable.ts';
import { openProgress } from './progress.ts';
import { checkReferences, fullReferences } from './references.ts';
import { ReportedError } from './reported-error.ts';
import { formatTable } from './table.ts';

interface Options {
  references?: string[] | undefined;
  output?: string | undefined;
  pinned?: boolean | undefined;
  all?: boolean | undefined;
  platform?: string | undefined;
  since?: string[] | undefined;
  force?: boolean | undefined;
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
  json?: boolean | undefined;
}

const STDOUT = '-';
const INTERRUPTED = 'interrupted: nothing was written';

export function exportBundle(version: string): CommandModule<object, Options> {
  return {
    command: 'export [references..]',
    describe: 'write images to one file that hubcap, docker, podman, ctr and skopeo read',
    builder,
    handler: async ({ output = '', force, json, config, data, control, ...options }) => {
      if (output === STDOUT && process.stdout.isTTY)
        throw new ReportedError('a bundle is nothing for a terminal: write it to a file, or into a pipe');
      const isForced = force === true;
      if (output !== STDOUT) refuseExisting(output, isForced);
      const loaded = configFrom({ config, data, control });
      const { plan, sha256 } = await untilInterrupted(INTERRUPTED, async (signal) => {
        const request = makeRequest(options, await readEarlier(options.since ?? [], signal));
        return await withControl(loaded, version, (found) => write(found, request, output, isForced, signal));
      });
      // On standard output is the bundle: what is said of it goes elsewhere.
      const said = output === STDOUT ? process.stderr : process.stdout;
      said.write(
        json ? `${JSON.stringify({ ...plan, file: output, sha256 })}\n` : describe(plan, output, sha256),
      );
    },
  };
}

function builder(parser: Argv): Argv<Options> {
  return withPlatformOption(withCommonOptions(parser), 'those that are here as a whole')
    .positional('references', { type: 'string', array: true, describe: 'images that are here' })
    .option('output', {
      alias: 'o',
      type: 'string',
      requiresArg: true,
      coerce: oneValue,
      demandOption: 'Say where the bundle goes: -o FILE, or -o - for standard output.',
      describe: 'the file to write, with FILE.sha256 beside it; - is standard output',
    })
    .option('pinned', { type: 'boolean', describe: 'all that is pinned; so it is where nothing is named' })
    .option('all', { type: 'boolean', describe: 'all that is here as a whole' })
    .option('since', {
      type: 'string',
      requiresArg: true,
      coerce: allValues,
      describe: 'an earlier bundle, may be given again: what it carried is left out',
    })
    .option('force', { type: 'boolean', describe: 'replace a file that is there' })
    .option('json', { type: 'boolean', describe: 'what was written as one JSON document' })
    .check(({ references = [], output, pinned, all }) => {
      const chosen = [references.length > 0, pinned === true, all === true].filter(Boolean).length;
      if (chosen > 1) throw new Error('Say one of these: images by name, or --pinned, or --all.');
      if (output === '') throw new Error('-o has no name: say where the bundle goes.');
      return checkReferences(references);
    })
    .example('$0 export -o images.tar', 'all that is pinned')
    .example('$0 export -o next.tar --since images.tar', 'what is new since; needs the other imported before')
    .example('$0 export -o - alpine:3.20 | ssh inside docker load', 'without a file between')
    .epilogue(
      'A bundle is a tar: an OCI image layout that `docker load` reads too. The same images give the same bytes. The file appears when all of it is on disk; `sha256sum -c FILE.sha256` checks it, and `hubcap import` does so by itself. Signatures and SBOMs that are here go with their images. Images that --all leaves out, because something of them is missing, are named.',
    );
}

type Chosen = Pick<Options, 'references' | 'pinned' | 'all' | 'platform'>;

function makeRequest({ references = [], pinned, all, platform }: Chosen, since: string[]): ExportRequest {
  return {
    selection: all ? 'all' : pinned || references.length === 0 ? 'pinned' : 'references',
    references: fullReferences(references),
    platforms: requestedPlatforms(platform),
    since,
  };
}

/** @throws RefusedError; ReportedError; the signal's reason; nothing is left behind then */
async function write(
  control: Control,
  request: ExportRequest,
  output: string,
  isForced: boolean,
  signal: AbortSignal,
): Promise<{ plan: ExportPlan; sha256: string }> {
  const { plan, bundle } = await control.export(request);
  for (const { message } of plan.leftOut) process.stderr.write(`left out: ${printable(message)}\n`);
  const progress = openProgress(process.stderr);
  const writing: Writing = {
    totalBytes: plan.bytes,
    signal,
    onBytes: (bytes) => progress.update({ bytes, totalBytes: plan.bytes }),
  };
  try {
    const sha256 =
      output === STDOUT
        ? await writeBundleOut(bundle, writing)
        : await writeBundleFile(output, bundle, isForced, writing);
    return { plan, sha256 };
  } finally {
    progress.end();
  }
}

const HEADINGS = ['REFERENCE', 'DIGEST', 'PLATFORMS', 'SIZE'];

function describe({ images, bytes, required, leftOut }: ExportPlan, output: string, sha256: string): string {
  const rows = images.map((image) => [
    image.reference.replace(/@.*/, ''),
    image.digest.slice(0, 19),
    image.platforms.join(', ') || 'single',
    formatBytes(image.bytes),
  ]);
  const where = output === STDOUT ? 'standard output' : output;
  const lines = [
    `${formatBytes(bytes)} written to ${where}`,
    `sha256 ${sha256}${output === STDOUT ? '' : `, also in ${checksumPath(output)}`}`,
    ...(required.objects > 0
      ? [
          `it needs ${required.objects} things (${formatBytes(required.bytes)}) of earlier bundles: import those first`,
        ]
      : []),
    ...(leftOut.length > 0 ? [`left out, because they are not whole: ${leftOut.length}`] : []),
  ];
  return `${formatTable(HEADINGS, rows)}${lines.join('\n')}\n`;
}

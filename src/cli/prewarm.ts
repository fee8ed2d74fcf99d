/** `hubcap prewarm`: images are fetched before anyone asks for them. */
import type { Argv, CommandModule } from 'yargs';
import type { Control } from '../admin/control-client.ts';
import type { PrewarmEvent, PrewarmReport, PrewarmRequest } from '../airgap/commands.ts';
import { fullNameText } from '../oci/image-name.ts';
import { withControl } from './control.ts';
import { readLists, type WantedLists } from './image-lists.ts';
import { readUntil, untilInterrupted } from './interruption.ts';
import { allValues, configFrom, withCommonOptions } from './options.ts';
import { parsePlatforms, platformTexts, thisPlatform, withPlatformOption } from './platforms.ts';
import { openPrewarmDisplay } from './prewarm-display.ts';
import { describeDryRun, describeFailures, describeRun } from './prewarm-summary.ts';
import { printable } from './printable.ts';
import { ReportedError } from './reported-error.ts';

interface Options {
  references?: string[] | undefined;
  file?: string[] | undefined;
  platform?: string | undefined;
  pin?: boolean | undefined;
  'with-referrers'?: boolean | undefined;
  concurrency?: number | undefined;
  'dry-run'?: boolean | undefined;
  wait?: boolean | undefined;
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
  json?: boolean | undefined;
}

const DEFAULT_CONCURRENCY = 3;
const MAX_CONCURRENCY = 32;
const INTERRUPTED = 'interrupted: what was fetched is kept, and the same command goes on from there';

export function prewarm(version: string): CommandModule<object, Options> {
  return {
    command: 'prewarm [references..]',
    describe: 'fetch images before anyone asks for them',
    builder,
    handler: async ({ references = [], file = [], json, config, data, control, ...options }) => {
      const loaded = configFrom({ config, data, control });
      const platforms = parsePlatforms(options.platform ?? thisPlatform());
      const lists = await readLists(references, file, platforms);
      for (const note of lists.notes) process.stderr.write(`${printable(note)}\n`);
      const request = makeRequest(lists, { ...options, platform: options.platform ?? thisPlatform() });
      const { report, images } = await untilInterrupted(INTERRUPTED, (signal) =>
        withControl(loaded, version, (found) => follow(found, request, json === true, signal), {
          creates: true,
        }),
      );
      const { isDryRun } = request;
      if (!json) process.stdout.write(isDryRun ? describeDryRun(images, report) : describeRun(report));
      const failures = describeFailures(report, isDryRun);
      if (failures !== undefined) throw new ReportedError(failures);
    },
  };
}

function builder(parser: Argv): Argv<Options> {
  return withPlatformOption(withCommonOptions(parser), `${thisPlatform()}, as this machine is`)
    .positional('references', {
      type: 'string',
      array: true,
      describe: 'images, as clients name them: alpine, ghcr.io/owner/app:1.2, …@sha256:…',
    })
    .option('file', {
      alias: 'f',
      type: 'string',
      requiresArg: true,
      coerce: allValues,
      describe: 'a list of images, may be given again; - is standard input',
    })
    .option('pin', { type: 'boolean', describe: 'keep the images: they are never evicted' })
    .option('with-referrers', {
      type: 'boolean',
      describe: 'signatures, SBOMs and what else refers to them too',
    })
    .option('concurrency', {
      type: 'number',
      requiresArg: true,
      default: DEFAULT_CONCURRENCY,
      describe: `images at a time, 1 to ${MAX_CONCURRENCY}`,
    })
    .option('dry-run', {
      type: 'boolean',
      describe: 'say what is here and what would be fetched; only manifests are fetched, and kept',
    })
    .option('wait', {
      type: 'boolean',
      default: true,
      describe: 'wait where a rate limit is reached; --no-wait: such images fail',
    })
    .option('json', { type: 'boolean', describe: 'one JSON document per line: what happens, and a report' })
    .check(({ references = [], file = [], concurrency }) => {
      if (references.length === 0 && file.length === 0)
        throw new Error('Name images, or give a list of them with -f FILE.');
      if (file.filter((one) => one === '-').length > 1) throw new Error('-f - can be given once.');
      if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > MAX_CONCURRENCY)
        throw new Error(`--concurrency is 1 to ${MAX_CONCURRENCY}.`);
      return true;
    })
    .example('$0 prewarm alpine:3.20 ghcr.io/owner/app:1.2 --pin', 'two images, which stay')
    .example('$0 prewarm -f compose.yaml --platform linux/amd64,linux/arm64', 'all that a project needs')
    .example('helm template app ./chart | $0 prewarm -f - --dry-run', 'whether pull limit and room suffice')
    .example('$0 prewarm -f wanted.txt --pin', 'what `hubcap misses --list` said elsewhere')
    .epilogue(
      'Lists are told apart by themselves: plain ones (a reference per line, platforms after a space, # for comments), Compose files, Kubernetes manifests and Dockerfiles. Variables in Compose files and build arguments of Dockerfiles come from the environment and from `.env` beside the file. Platforms that a list names win over --platform. It uses the running hubcap, or its data directory where none runs. What was fetched is kept, whatever ends the command: run again, it goes on from there.',
    );
}

type Chosen = Pick<Options, 'pin' | 'with-referrers' | 'concurrency' | 'dry-run' | 'wait'> & {
  platform: string;
};

function makeRequest({ images }: WantedLists, options: Chosen): PrewarmRequest {
  return {
    images: images.map(({ name, platforms }) => ({
      reference: fullNameText(name),
      platforms: platforms && platformTexts(platforms),
    })),
    platforms: platformTexts(parsePlatforms(options.platform)),
    isPinning: options.pin === true,
    withReferrers: options['with-referrers'] === true,
    concurrency: options.concurrency ?? DEFAULT_CONCURRENCY,
    isDryRun: options['dry-run'] === true,
    isPatient: options.wait !== false,
  };
}

interface Followed {
  report: PrewarmReport;
  /** of a dry run */
  images: Extract<PrewarmEvent, { kind: 'image' }>[];
}

/** Shows what happens. @throws RefusedError; the signal's reason */
async function follow(
  control: Control,
  request: PrewarmRequest,
  isJson: boolean,
  signal: AbortSignal,
): Promise<Followed> {
  const { isDryRun, concurrency } = request;
  const atOnce = Math.min(concurrency, request.images.length);
  const display = isJson ? undefined : openPrewarmDisplay(process.stderr, atOnce);
  const images: Followed['images'] = []; // as many as were asked for
  let report: PrewarmReport | undefined;
  try {
    for await (const event of readUntil(control.prewarm(request), signal)) {
      if (isJson) process.stdout.write(`${JSON.stringify(event)}\n`);
      if (event.kind === 'report') report = event;
      else if (isDryRun && event.kind === 'image') images.push(event);
      else display?.show(event);
    }
  } finally {
    display?.end();
  }
  if (!report) throw new ReportedError('the prewarm ended before it was done: see the log of hubcap');
  return { report, images };
}

/** `hubcap verify`: whether what is in the store is what it should be. */
import type { Argv, CommandModule } from 'yargs';
import { parseImageName } from '../oci/image-name.ts';
import type { StoreFinding } from '../store/findings.ts';
import type { VerifyEvent, VerifyReport } from '../store/verify.ts';
import { formatBytes } from '../units.ts';
import { withControl } from './control.ts';
import { configFrom, withCommonOptions } from './options.ts';
import { printable } from './printable.ts';
import { openProgress, type Progress } from './progress.ts';
import { ReportedError } from './reported-error.ts';

interface Options {
  reference?: string | undefined;
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
  json?: boolean | undefined;
}

export function verify(version: string): CommandModule<object, Options> {
  return {
    command: 'verify [reference]',
    describe: 'hash what is in the store again; set aside what is damaged',
    builder: (parser: Argv): Argv<Options> =>
      withCommonOptions(parser)
        .positional('reference', {
          type: 'string',
          describe: 'one image, as clients name it: alpine, ghcr.io/owner/app:1.2, …@sha256:…',
        })
        .option('json', {
          type: 'boolean',
          describe: 'one JSON document per line: progress, findings, report',
        })
        .check(({ reference }) => {
          if (reference === undefined || parseImageName(reference)) return true;
          throw new Error(`${reference} is no image name such as alpine or ghcr.io/owner/app:1.2`);
        })
        .example('$0 verify', 'the whole store, also while hubcap serves; ends with 1 if anything was wrong')
        .example('$0 verify docker.io/library/alpine:3.20', 'what is here of one image')
        .example('$0 verify --json | jq -c \'select(.kind == "finding")\'', 'for a script'),
    handler: async ({ reference, json, ...flags }) => {
      const report = await withControl(configFrom(flags), version, (control) =>
        follow(control.verify(reference), json === true),
      );
      if (!report.isClean)
        throw new ReportedError(`the store was not as it should be: ${countFindings(report)}`);
    },
  };
}

/** Shows what happens. @returns the report */
async function follow(events: AsyncIterable<VerifyEvent>, isJson: boolean): Promise<VerifyReport> {
  const progress = isJson ? undefined : openProgress(process.stderr);
  let report: VerifyReport | undefined;
  try {
    for await (const event of events) {
      if (event.kind === 'report') report = event;
      if (isJson) process.stdout.write(`${JSON.stringify(event)}\n`);
      else if (event.kind === 'progress') progress?.update(event);
      else if (event.kind === 'finding') showFinding(event, progress);
    }
  } finally {
    progress?.end();
  }
  if (!report) throw new ReportedError('the verification ended before it was done: see the log of hubcap');
  if (!isJson) process.stdout.write(describe(report));
  return report;
}

function showFinding({ what, name, bytes, isSetAside }: StoreFinding, progress: Progress | undefined): void {
  const fate = isSetAside ? ', set aside' : what === 'missing' ? ', forgotten' : '';
  const size = what === 'missing' ? '' : ` (${formatBytes(bytes)})`;
  progress?.clear();
  process.stdout.write(`${what}  ${printable(name)}${size}${fate}\n`);
}

function describe(report: VerifyReport): string {
  const { objects, bytes, adopted, absent, isClean } = report;
  const lines = [
    `${objects} ${objects === 1 ? 'object is' : 'objects are'} what the digest says, ${formatBytes(bytes)}`,
    ...(adopted > 0 ? [`${adopted} of them had no entry in the catalog, and have one now`] : []),
    ...(absent
      ? [`${absent} that belong to it are not in the store; they are fetched when someone asks`]
      : []),
    isClean ? 'nothing is wrong' : `wrong: ${countFindings(report)}`,
  ];
  return `${lines.join('\n')}\n`;
}

function countFindings({ findings }: VerifyReport): string {
  return Object.entries(findings)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ');
}

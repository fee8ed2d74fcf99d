/** `hubcap check`: what is wrong here, with hubcap, its upstreams and the clients of this machine, and what to do about it. */
import { resolve } from 'node:path';
import type { Argv, CommandModule } from 'yargs';
import { countByStatus } from '../check/check.ts';
import { TOTAL_MS } from '../check/deadline.ts';
import { type CheckRequest, runChecks } from '../check/run.ts';
import type { ProbeImage } from '../check/upstream.ts';
import { ConfigError, type Flags } from '../config/load.ts';
import { parseFullName } from '../oci/image-name.ts';
import { referenceText } from '../oci/reference.ts';
import { formatFindings, lookFrom, toDocument } from './check-format.ts';
import { untilInterrupted } from './interruption.ts';
import {
  accountHome,
  allValues,
  configFile,
  configFrom,
  environment,
  oneValue,
  withCommonOptions,
} from './options.ts';
import { ReportedError } from './reported-error.ts';

const PARTS = ['hubcap', 'upstreams', 'clients'] as const;
const DOCKER_SOCKET = '/var/run/docker.sock';
/** What still waits for a name server that is silent is not waited for. */
const LINGER_MS = 200;
/** Who waits longer is told that something happens. */
const QUIET_MS = 1_000;

interface Options {
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
  listen?: string | undefined;
  admin?: string | undefined;
  root?: string | undefined;
  image?: string[] | undefined;
  only?: string[] | undefined;
  json?: boolean | undefined;
}

export function check(version: string): CommandModule<object, Options> {
  return {
    command: 'check',
    describe:
      'look for what is wrong: configuration, disk, ports, upstreams, and the clients on this machine',
    builder: (parser: Argv): Argv<Options> =>
      withCommonOptions(parser)
        .option('listen', { type: 'string', requiresArg: true, describe: 'as given to serve' })
        .option('admin', { type: 'string', requiresArg: true, describe: 'as given to serve' })
        .option('only', {
          type: 'string',
          requiresArg: true,
          coerce: allValues,
          describe: `a part alone: ${PARTS.join(', ')}; may be given again`,
        })
        .option('image', {
          type: 'string',
          requiresArg: true,
          coerce: allValues,
          describe:
            'an image to ask its upstream for (by HEAD: no pull); may be given again. docker.io: alpine',
        })
        .option('root', {
          type: 'string',
          requiresArg: true,
          coerce: oneValue,
          describe: 'where the files of clients are, for another machine or a container (default: /)',
        })
        .option('json', { type: 'boolean', describe: 'as one JSON document' })
        .example('$0 check', 'all of it')
        .example('$0 check --only clients', 'is daemon.json right?')
        .example('$0 check --image ghcr.io/owner/app', 'may this be pulled?')
        .epilogue(
          'Changes nothing. Ends with 0 (warnings included), 1 where something failed, 2 where the configuration did.',
        ),
    handler: async ({ root = '/', image = [], only = [], json, ...flags }) => {
      const config = readConfig(flags);
      const request = {
        ...{ config, version, dockerSocket: DOCKER_SOCKET, home: accountHome(), uid: process.getuid?.() },
        root: resolve(root),
        parts: partsOf(only),
        images: imagesOf(image, config),
      };
      const findings = await waiting(json === true, () =>
        untilInterrupted('interrupted: nothing was changed', (signal) => runChecks({ ...request, signal })),
      );
      const look = lookFrom(environment(), process.stdout.isTTY === true);
      process.stdout.write(
        json ? `${JSON.stringify(toDocument(findings), undefined, 2)}\n` : formatFindings(findings, look),
      );
      setTimeout(() => process.exit(), LINGER_MS).unref(); // with the exit code that is set by then
      const { failed } = countByStatus(findings);
      const isConfiguration = 'error' in config;
      if (failed > 0)
        throw new ReportedError(
          `${failed} ${failed === 1 ? 'check' : 'checks'} failed`,
          undefined,
          isConfiguration ? 'configuration' : 'failure',
        );
    },
  };
}

/** A broken configuration is a finding: the clients can be looked at all the same. */
function readConfig(flags: Flags): CheckRequest['config'] {
  try {
    return { config: configFrom(flags), file: configFile(flags) };
  } catch (error) {
    if (error instanceof ConfigError) return { error };
    throw error;
  }
}

function partsOf(only: readonly string[]): CheckRequest['parts'] {
  const unknown = only.find((part) => !PARTS.some((known) => known === part));
  if (unknown !== undefined)
    throw new ReportedError(`--only ${unknown}: write ${PARTS.join(', ')}`, undefined, 'configuration');
  const has = (part: (typeof PARTS)[number]): boolean => only.length === 0 || only.includes(part);
  return { hubcap: has('hubcap'), upstreams: has('upstreams'), clients: has('clients') };
}

function imagesOf(names: readonly string[], config: CheckRequest['config']): Map<string, ProbeImage> {
  const images = new Map<string, ProbeImage>();
  const upstreams = 'config' in config ? [...config.config.upstreams.values()] : [];
  for (const name of names) {
    const image = parseFullName(name);
    const refuse = (why: string): never => {
      throw new ReportedError(`--image ${name}: ${why}`, undefined, 'configuration');
    };
    if (!image) return refuse('this is no name of an image');
    const upstream = upstreams.find(
      ({ host, aliases }) => host === image.host || aliases.includes(image.host),
    );
    if ('config' in config && !upstream) return refuse(`${image.host} is not under upstreams`);
    const reference = referenceText(image.reference);
    images.set(upstream?.host ?? image.host, { repository: image.repository, reference, isMadeUp: false });
  }
  return images;
}

/** On a terminal, says after a while that something happens. */
async function waiting<T>(isQuiet: boolean, work: () => Promise<T>): Promise<T> {
  const isShown = !isQuiet && process.stderr.isTTY === true;
  const text = `checking, for ${Math.ceil(TOTAL_MS / 1000)} s at most`;
  let hasSaid = false;
  const timer = setTimeout(() => {
    hasSaid = isShown;
    if (isShown) process.stderr.write(text);
  }, QUIET_MS);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
    if (hasSaid) process.stderr.write(`\r${' '.repeat(text.length)}\r`);
  }
}

/** Owns what is said of the mirrors that clients name: each address is tried once, whatever the number of clients. */
import { join } from 'node:path';
import { hostWithPort } from '../../clients/mirror-address.ts';
import { type Finding, voiceOf } from '../check.ts';
import type { MirrorUse } from './mirror-use.ts';
import type { ClientFiles } from './read-files.ts';
import { type Answerer, tryMirror } from './try-mirror.ts';

const say = voiceOf('clients');

/** The hubcap of the configuration. */
export interface OwnMirror {
  /** `host:port` by which clients on this machine may reach it */
  hosts: readonly string[];
  /** names of the registries that it mirrors; undefined where the configuration cannot be read */
  registries: ReadonlySet<string> | undefined;
}

export async function checkMirrors(
  uses: readonly MirrorUse[],
  own: OwnMirror,
  files: ClientFiles,
  signal: AbortSignal,
): Promise<Finding[]> {
  const tried = new Map<string, Promise<Answerer>>();
  const found = await Promise.all(
    uses.map(async (use) => {
      const key = `${use.url.origin} ${use.isUnproven}`;
      const asking = tried.get(key) ?? tryUse(use, files, signal);
      tried.set(key, asking);
      return judge(use, await asking, own);
    }),
  );
  return found;
}

/** podman begins with TLS, and goes on without where it may. */
async function tryUse(
  { client, url, isUnproven }: MirrorUse,
  files: ClientFiles,
  signal: AbortSignal,
): Promise<Answerer> {
  const ca = await authorities(files, url.host);
  const answerer = await tryMirror(url, ca, signal);
  if (
    client !== 'podman' ||
    answerer.kind !== 'nobody' ||
    /REFUSED|TIMEDOUT|NOTFOUND|UNREACH/.test(answerer.code)
  )
    return answerer;
  const plain = await tryMirror(new URL(url.href.replace(/^https:/, 'http:')), ca, signal);
  return isUnproven || plain.kind !== 'nobody' ? plain : answerer;
}

/** Where Docker and podman keep what they trust for one host. */
async function authorities(files: ClientFiles, host: string): Promise<string[]> {
  const directories = ['/etc/docker/certs.d', '/etc/containers/certs.d'].map((path) => join(path, host));
  const read = await Promise.all(directories.map((path) => files.readAll(path, '.crt')));
  return read.flat().map(({ text }) => text);
}

function judge(use: MirrorUse, answerer: Answerer, own: OwnMirror): Finding {
  const { client, file, url, registry } = use;
  const facts = { client, file, mirror: url.origin, registry };
  const shown = `${file}: ${client === 'podman' ? url.host : url.origin}`; // podman's have no scheme
  const isOwn = own.hosts.includes(hostWithPort(answerer.url));
  if (answerer.kind === 'nobody') {
    const why = WHY_NOBODY[answerer.code] ?? `cannot be asked (${answerer.code})`;
    const remedy = isOwn
      ? 'start hubcap: `hubcap serve`, or `systemctl start hubcap`'
      : 'start what should answer there, or correct the address';
    return say.failed(
      `${client}.mirror-unreachable`,
      `${shown} ${why}: ${client} goes past it`,
      remedy,
      facts,
    );
  }
  if (answerer.kind === 'other') {
    const message = `${shown} answers ${answerer.status} to /v2/, which no registry does`;
    return say.failed(
      `${client}.mirror-other`,
      message,
      'give the address of the mirror (`listen`), not the one of metrics and status',
      facts,
    );
  }
  if (
    client === 'podman' &&
    url.protocol === 'https:' &&
    answerer.url.protocol === 'http:' &&
    !use.isUnproven
  )
    return say.failed(
      'podman.insecure',
      `${shown} speaks plain HTTP, and insecure = true is missing: podman goes past it`,
      'write insecure = true below its location',
      facts,
    );
  if (!answerer.isProven && !use.isUnproven) {
    const message = `${shown} has a certificate that this machine does not trust: ${client} goes past it, unless it is told the authority elsewhere`;
    return say.warning(
      `${client}.mirror-tls`,
      message,
      WHERE_CA[client] ?? 'have the client trust its authority',
      facts,
    );
  }
  if (answerer.kind === 'registry')
    return say.warning(
      `${client}.mirror-not-hubcap`,
      `${shown} answers, and is not hubcap`,
      `if hubcap is meant, give its address: \`hubcap setup ${client}\` shows it`,
      facts,
    );
  return judgeRegistry(use, shown, isOwn, own, facts);
}

/** Whether what is asked for there is what hubcap mirrors. */
function judgeRegistry(
  use: MirrorUse,
  shown: string,
  isOwn: boolean,
  own: OwnMirror,
  facts: object,
): Finding {
  const { client, registry, url } = use;
  const first = url.pathname.split('/').find((part) => part !== '' && part !== 'v2');
  if (client === 'podman' && registry !== undefined && registry !== 'docker.io' && first === undefined) {
    const message = `${shown} is a mirror of ${registry}, which podman does not tell it: it takes the images for Docker Hub's`;
    return say.failed('podman.path', message, `write location = "${url.host}/${registry}"`, { ...facts });
  }
  if (isOwn && registry !== undefined && own.registries && !own.registries.has(registry)) {
    const message = `${shown} is hubcap, which does not mirror ${registry}: ${client} goes past it`;
    return say.failed(
      `${client}.registry`,
      message,
      `add "${registry}: {}" under upstreams, and \`hubcap reload\``,
      { ...facts },
    );
  }
  return say.ok(
    `${client}.mirror`,
    `${shown} is hubcap${registry === undefined ? '' : `, for ${registry}`}`,
    { ...facts },
  );
}

const WHY_NOBODY: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refuses connections',
  ETIMEDOUT: 'does not answer',
  ENOTFOUND: 'has a name that is not known',
  EPROTO: 'does not speak TLS',
  ERR_SSL_WRONG_VERSION_NUMBER: 'does not speak TLS: write http://',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'does not speak TLS: write http://',
  HPE_INVALID_CONSTANT: 'does not speak HTTP there',
  ECONNRESET: 'hangs up',
};

const WHERE_CA: Readonly<Record<string, string>> = {
  docker: 'put the authority into /etc/docker/certs.d/HOST:PORT/ca.crt',
  containerd: 'name the authority with ca = "…" below its host',
  podman: 'put the authority into /etc/containers/certs.d/HOST:PORT/ca.crt',
};

/** Owns the inspection of Docker's daemon.json: what dockerd refuses, and what it silently makes nothing of. Pure. */
import { isLoopbackV4 } from '../../clients/mirror-address.ts';
import { nearest } from '../../config/nearest.ts';
import { type Finding, voiceOf } from '../check.ts';
import { quoted } from '../redact.ts';
import {
  consequence,
  type EntryFault,
  insecureFault,
  isForPullsAlone,
  mirrorFault,
  type Refusing,
} from './docker-mirror.ts';
import { readJson } from './json-fault.ts';
import type { ClientFile, Inspection } from './mirror-use.ts';

const say = voiceOf('clients');
const MIRRORS = 'registry-mirrors';
const INSECURE = 'insecure-registries';
/** Names of dockerd's flags, which differ from the keys by their ends: dockerd takes them and makes nothing of them. */
const FLAG_NAMES: Readonly<Record<string, string>> = {
  'registry-mirror': MIRRORS,
  'insecure-registry': INSECURE,
};
const SETUP = '`hubcap setup docker --write` writes it';

/** What of a daemon.json matters for the flags beside it. */
export interface DockerInspection extends Inspection {
  /** keys of the file, undefined where it cannot be read */
  keys: readonly string[] | undefined;
  mirrorEntries: readonly string[];
}

/** @returns what is wrong with a daemon.json, and the mirrors in it that dockerd takes */
export function inspectDaemonJson({ path, text }: ClientFile): DockerInspection {
  const nothing = { mirrors: [], keys: undefined, mirrorEntries: [] };
  const read = readJson(text);
  if ('fault' in read) {
    const { line, column, cause, remedy } = read.fault;
    const facts = { file: path, line, column, refused: refusingOf(text) };
    const message = `${path} is not valid JSON, ${consequence(facts.refused)}: line ${line}, column ${column}: ${cause}`;
    return { ...nothing, findings: [say.failed('docker.json', message, remedy, facts)] };
  }
  const { value } = read;
  if (value === null) return { ...nothing, findings: [], keys: [] }; // dockerd takes it for nothing
  if (typeof value !== 'object' || Array.isArray(value)) {
    const message = `${path} holds ${quoted(value)}, Docker does not start`;
    const facts = { file: path, refused: 'all' };
    return {
      ...nothing,
      findings: [say.failed('docker.object', message, 'write {…} with keys in it', facts)],
    };
  }
  return inspectKeys(path, value as Record<string, unknown>);
}

/** An older dockerd reads the first document and no further; a newer one takes an empty file, and a BOM. */
function refusingOf(text: string): Refusing {
  const bare = text.replace(/^\ufeff/, '');
  if (bare.trim() === '') return 'older';
  if (bare !== text && 'value' in readJson(bare)) return 'older';
  return hasCompleteStart(text) ? 'newer' : 'all';
}

/** Whether a whole object ends before the first fault. */
function hasCompleteStart(text: string): boolean {
  for (
    let end = text.indexOf('}'), tries = 0;
    end >= 0 && tries < 200;
    end = text.indexOf('}', end + 1), tries += 1
  ) {
    const start = readJson(text.slice(0, end + 1));
    if ('value' in start) return typeof start.value === 'object';
  }
  return false;
}

function inspectKeys(path: string, settings: Record<string, unknown>): DockerInspection {
  const findings = [
    ...nearNames(path, settings),
    ...entriesOf(path, MIRRORS, settings[MIRRORS], mirrorFault),
    ...entriesOf(path, INSECURE, settings[INSECURE], insecureFault),
  ];
  const mirrorEntries = textsIn(settings[MIRRORS]);
  const insecure = textsIn(settings[INSECURE]);
  const urls = mirrorEntries
    .filter((entry) => !mirrorFault(entry) && URL.canParse(entry))
    .map((entry) => new URL(entry));
  findings.push(...urls.filter((url) => isForPullsAlone(url, insecure)).map((url) => pullsAlone(path, url)));
  const allowed = insecure.map((entry) => entry.replace(/^https?:\/\//i, ''));
  const mirrors = urls.map((url) => ({
    ...{ client: 'docker', file: path, url, registry: 'docker.io' },
    isUnproven: allowed.includes(url.host) || isLoopbackV4(url),
  }));
  return { findings, mirrors, keys: Object.keys(settings), mirrorEntries };
}

/** A list of text with faults in it, or something that is no such list. dockerd takes null for nothing. */
function entriesOf(
  path: string,
  key: string,
  value: unknown,
  faultOf: (entry: string) => EntryFault | undefined,
): Finding[] {
  if (value === undefined || value === null) return [];
  const facts = { file: path, refused: 'all' };
  const id = key === MIRRORS ? 'docker.mirrors' : 'docker.insecure';
  if (!Array.isArray(value)) {
    const message = `${path}: ${key} must be a list and is ${quoted(value)}, Docker does not start`;
    const remedy = typeof value === 'string' ? `write [${quoted(value)}]` : 'write ["…"]';
    return [say.failed(`${id}.list`, message, remedy, facts)];
  }
  return value.flatMap((entry: unknown): Finding[] => {
    if (typeof entry !== 'string' && entry !== null) {
      const message = `${path}: ${key} has ${quoted(entry)} where text belongs, Docker does not start`;
      return [say.failed(`${id}.text`, message, 'write addresses in double quotes', facts)];
    }
    const fault = faultOf(entry ?? '');
    return fault ? [entryFinding(path, key, entry ?? '', fault)] : [];
  });
}

function entryFinding(path: string, key: string, entry: string, fault: EntryFault): Finding {
  const { id, what, remedy, refused } = fault;
  const message = `${path}: ${key}: ${quoted(entry)} ${what}, ${consequence(refused)}`;
  return say.failed(`docker.${id}`, message, remedy, { file: path, refused });
}

function pullsAlone(path: string, url: URL): Finding {
  const message = `${path}: ${url.origin} is for docker pull: docker build of Docker before 29 goes past plain HTTP there`;
  const remedy = `add "${url.origin}" to ${INSECURE}: ${SETUP}`;
  return say.warning('docker.build', message, remedy, { file: path, mirror: url.origin });
}

/** dockerd refuses keys that it does not know; a flag's name it takes, and makes nothing of it. */
function nearNames(path: string, settings: Record<string, unknown>): Finding[] {
  return Object.entries(settings).flatMap(([key, value]): Finding[] => {
    const nested =
      typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : [];
    return [...nearName(path, key), ...nested.flatMap((inner) => misplaced(path, key, inner))];
  });
}

function nearName(path: string, key: string): Finding[] {
  if (key === MIRRORS || key === INSECURE) return [];
  const flag = Object.hasOwn(FLAG_NAMES, key) ? FLAG_NAMES[key] : undefined;
  if (flag !== undefined) {
    const message = `${path}: ${quoted(key)} is the name of a flag: Docker starts, and makes nothing of it here`;
    return [
      say.failed('docker.key', message, `the key is "${flag}"; ${SETUP}`, { file: path, refused: 'none' }),
    ];
  }
  const meant = meantBy(key);
  if (meant === undefined) return [];
  const message = `${path}: ${quoted(key)} is no key that Docker knows, Docker does not start`;
  return [
    say.failed('docker.key', message, `the key is "${meant}"; ${SETUP}`, { file: path, refused: 'all' }),
  ];
}

function misplaced(path: string, outer: string, inner: string): Finding[] {
  if (inner !== MIRRORS && inner !== INSECURE) return [];
  const message = `${path}: "${inner}" stands inside ${quoted(outer)}, where Docker makes nothing of it`;
  return [
    say.failed('docker.place', message, 'put it beside the other keys, in the outermost {…}', {
      file: path,
      refused: 'none',
    }),
  ];
}

/** @returns the key that a name which dockerd does not know was meant to be */
function meantBy(key: string): string | undefined {
  const plain = key.toLowerCase().replace(/[^a-z]/g, '');
  if (/^(?:docker|registry|registries)?mirrors?$/.test(plain)) return MIRRORS;
  if (/^insecure(?:registry|registries)?$/.test(plain)) return INSECURE;
  return nearest(key, [MIRRORS, INSECURE]);
}

function textsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : [];
}

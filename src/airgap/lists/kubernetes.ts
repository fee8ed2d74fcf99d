/** Owns Kubernetes manifests: which images pod templates and custom resources name, at any depth. */
import type { Findings } from './findings.ts';
import { isLikelyReference, readImageField } from './image-field.ts';
import { quoted } from './references.ts';
import { entryOf, textOf, type YamlMapping, type YamlValue } from './yaml-tree.ts';

/** @returns whether a document is an object of the Kubernetes API */
export function isKubernetes(root: YamlValue): boolean {
  return textOf(entryOf(root, 'apiVersion')) !== undefined && textOf(entryOf(root, 'kind')) !== undefined;
}

/** Reads the images of one document, which may be a list of objects. */
export function readKubernetes(root: YamlValue, findings: Findings): void {
  readObject(root, { findings, seen: new Set(), inherited: undefined });
}

interface Place {
  findings: Findings;
  /** what was walked through: aliases name one value several times, and its images are found once */
  seen: Set<YamlValue>;
  /** the object of a list that gives its items their kind (`kind: DeploymentList`) */
  inherited: YamlMapping | undefined;
}

function readObject(object: YamlValue, place: Place): void {
  const { findings, inherited } = place;
  if (object.kind !== 'mapping' || !(isKubernetes(object) || inherited)) {
    findings.addProblem(object.line, 'no object of Kubernetes: apiVersion or kind is missing; add them');
    return;
  }
  if (place.seen.has(object)) return;
  place.seen.add(object);
  const apiVersion = textOf(entryOf(object, 'apiVersion') ?? entryOf(inherited, 'apiVersion')) ?? '';
  const kind =
    textOf(entryOf(object, 'kind')) ?? textOf(entryOf(inherited, 'kind'))?.replace(/List$/, '') ?? '';
  const items = entryOf(object, 'items');
  if (kind.endsWith('List') && items?.kind === 'sequence') {
    const within = kind === 'List' ? undefined : object;
    for (const item of items.items) readObject(item, { ...place, inherited: within });
    return;
  }
  readByKind(object, { apiVersion, kind }, place);
}

interface Type {
  apiVersion: string;
  kind: string;
}

function readByKind(object: YamlMapping, { apiVersion, kind }: Type, place: Place): void {
  const { findings } = place;
  if (/^kustomize\.config\.k8s\.io\//.test(apiVersion)) {
    findings.addProblem(
      object.line,
      `a ${kind} names files, not images; give the output of: kustomize build DIRECTORY`,
    );
    return;
  }
  if (kind === 'CustomResourceDefinition') return; // a schema: what it calls `image` describes a field
  if (apiVersion === 'v1' && (kind === 'ConfigMap' || kind === 'Secret')) {
    noteUnreadContent(object, kind, findings);
    return;
  }
  const isCustom = apiVersion.includes('.');
  if (isCustom && BRINGS_MORE.has(`${apiVersion.split('/', 1)[0]}/${kind}`)) {
    const advice = 'give the manifests too, as helm template or kustomize build prints them';
    findings.addNote(object.line, `the ${kind} ${nameOf(object)} installs what is not read here; ${advice}`);
  }
  walkMapping(object, { ...place, isCustom });
}

/** Custom resources that stand for manifests of other files. */
const BRINGS_MORE: ReadonlySet<string> = new Set([
  'helm.toolkit.fluxcd.io/HelmRelease',
  'kustomize.toolkit.fluxcd.io/Kustomization',
  'helm.cattle.io/HelmChart',
  'argoproj.io/Application',
  'argoproj.io/ApplicationSet',
]);

interface Walk extends Place {
  /** whether the API is no part of Kubernetes: what a field means is then known to its operator alone */
  isCustom: boolean;
}

/** Keys that hold text which anybody chooses, or what a cluster says that it runs. */
const SKIPPED: ReadonlySet<string> = new Set([
  ...['metadata', 'status', 'labels', 'annotations', 'matchLabels', 'selector', 'nodeSelector'],
]);

function walk(value: YamlValue, key: string, at: Walk): void {
  if (value.kind === 'scalar') {
    noteLikely(key, value, at);
    return;
  }
  if (at.seen.has(value)) return;
  at.seen.add(value);
  if (value.kind === 'mapping') walkMapping(value, at);
  else for (const item of value.items) walk(item, key, at);
}

function walkMapping(mapping: YamlMapping, at: Walk): void {
  for (const [key, value] of mapping.entries) {
    if (SKIPPED.has(key)) continue;
    if (CONTAINERS.has(key) && value.kind === 'sequence') noteBareContainers(value.items, at);
    if (key === 'image' && readImageField(value, at)) continue;
    walk(value, key, at);
  }
}

const CONTAINERS: ReadonlySet<string> = new Set(['containers', 'initContainers', 'ephemeralContainers']);

function noteBareContainers(containers: readonly YamlValue[], { findings, isCustom }: Walk): void {
  if (isCustom) return; // parts of a template, such as overrides
  for (const container of containers) {
    if (container.kind !== 'mapping' || container.entries.has('image')) continue;
    findings.addNote(container.line, `the container ${nameIn(container)} has no image here`);
  }
}

/**
 * Operators get images in arguments, environment variables (`RELATED_IMAGE_…`) and fields of other names (`imageName`).
 * Which of them are pulled cannot be known; they are shown.
 */
function noteLikely(key: string, value: YamlValue, { findings, isCustom }: Walk): void {
  const isPlace = key === 'args' || key === 'command' || key === 'value' || (isCustom && /image/i.test(key));
  const text = isPlace ? textOf(value) : undefined;
  const candidate = text?.startsWith('-') ? text.slice(text.indexOf('=') + 1) : text;
  if (candidate === undefined || !isLikelyReference(candidate)) return;
  findings.addNote(
    value.line,
    `${quoted(candidate)} in ${key} looks like an image; if it is pulled, give it too`,
  );
}

function noteUnreadContent(object: YamlMapping, kind: string, findings: Findings): void {
  for (const field of ['data', 'stringData']) {
    const content = entryOf(object, field);
    if (content?.kind !== 'mapping') continue;
    for (const [key, value] of content.entries) {
      if (!/\bimage["']?:/.test(textOf(value) ?? '')) continue;
      const what = `${quoted(key)} of the ${kind} ${nameOf(object)} names images, and is not read`;
      findings.addNote(value.line, `${what}; give them too`);
    }
  }
}

function nameOf(object: YamlMapping): string {
  return nameIn(entryOf(object, 'metadata'));
}

function nameIn(value: YamlValue | undefined): string {
  return textOf(entryOf(value, 'name')) ?? 'without name';
}

/** Owns what stands under a key `image` of a Kubernetes object: a reference, or its parts. */
import { parseFullName, parseImageName } from '../../oci/image-name.ts';
import type { Findings } from './findings.ts';
import { hasHelmTemplate } from './recognise.ts';
import { faultOfReference, quoted } from './references.ts';
import { entryOf, type YamlMapping, type YamlScalar, type YamlValue } from './yaml-tree.ts';

interface Place {
  findings: Findings;
  /** whether the field is one of a custom resource, whose meaning is its operator's */
  isCustom: boolean;
}

/** @returns false where the value is a mapping that has to be walked through: it has no part of a reference */
export function readImageField(value: YamlValue, place: Place): boolean {
  if (value.kind === 'scalar') readText(value, place);
  else if (value.kind === 'mapping') return readParts(value, place);
  else return false;
  return true;
}

/** @returns whether text is a reference beyond doubt: with a registry, and a tag or a digest */
export function isLikelyReference(text: string): boolean {
  const name = text.length < 512 ? parseImageName(text) : undefined;
  if (!name?.host?.includes('.') || /^[\d.:]+$/.test(name.host)) return false;
  return text.includes('@') || /:[^/]+$/.test(text);
}

/** What a controller puts a value into when it runs: Tekton's `$(params.x)`, Argo's `{{inputs.x}}`. */
const FILLED_IN = /\$\(|\{\{/;

function readText({ source, value, line }: YamlScalar, { findings, isCustom }: Place): void {
  if (value !== null && typeof value !== 'string') {
    const fault = `the image ${source} is a ${typeof value}, no text`;
    if (isCustom) findings.addNote(line, `${fault}; left to the operator`);
    else findings.addProblem(line, `${fault}; put it in quotes`);
  } else if (hasHelmTemplate(source)) {
    findings.addProblem(
      line,
      `${quoted(source)} is a template of a Helm chart; give the output of: helm template CHART`,
    );
  } else if (isCustom && source === '') findings.addNote(line, 'an empty image, left to the operator');
  else if (isCustom && FILLED_IN.test(source)) {
    findings.addNote(
      line,
      `${quoted(source)} gets its value when it runs; give the images that it stands for`,
    );
  } else if (isCustom && !parseFullName(source)) {
    findings.addNote(line, `not fetched, as ${faultOfReference(source)}`);
  } else if (source === 'auto') {
    findings.addNote(
      line,
      'the image "auto" is put in by an injector, as Istio does; give the image of its proxy',
    );
  } else findings.addImage(line, source);
}

function readParts(parts: YamlMapping, place: Place): boolean {
  // A volume's `image: {reference: …}`.
  const whole = entryOf(parts, 'reference');
  if (whole?.kind === 'scalar') {
    readText(whole, place);
    return true;
  }
  const path = partOf(parts, 'repository', place) || partOf(parts, 'name', place);
  const [registry, tag, digest] = ['registry', 'tag', 'digest'].map((key) => partOf(parts, key, place));
  if (!path) {
    if (tag || digest || registry) {
      place.findings.addNote(parts.line, 'an image without its repository, left to the operator');
    }
    return false;
  }
  const reference = assemble({ registry, path, tag, digest });
  const isWhole = Boolean(tag || digest) || isLikelyReference(path);
  if (isWhole) readText({ kind: 'scalar', line: parts.line, value: reference, source: reference }, place);
  else {
    const what = `the image ${quoted(reference)} has no tag here: its operator adds one`;
    place.findings.addNote(parts.line, `${what}; give it with the tag`);
  }
  return true;
}

interface Parts {
  registry: string | undefined;
  path: string;
  tag: string | undefined;
  digest: string | undefined;
}

function assemble({ registry, path, tag, digest }: Parts): string {
  const prefix = registry ? `${registry.replace(/\/$/, '')}/` : '';
  const hash = digest && (digest.includes(':') ? digest : `sha256:${digest}`);
  return `${prefix}${path}${tag ? `:${tag}` : ''}${hash ? `@${hash}` : ''}`;
}

/** @returns the text of a part; undefined where it is not there or no text */
function partOf(parts: YamlMapping, key: string, { findings }: Place): string | undefined {
  const part = entryOf(parts, key);
  if (part?.kind !== 'scalar' || part.value === null) return undefined;
  // A tag 1.20 without quotes is the number 1.2 to whoever reads it next.
  if (typeof part.value === 'number' && String(part.value) !== part.source) {
    findings.addProblem(part.line, `the ${key} ${part.source} is a number; put it in quotes`);
  }
  return part.source;
}

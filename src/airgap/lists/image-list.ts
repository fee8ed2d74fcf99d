/** Owns the reading of an image list: recognises its kind, and gives every image in it or every problem. */
import type { WantedImage } from '../wanted-image.ts';
import { isCompose, readCompose } from './compose.ts';
import { readDockerfile } from './dockerfile.ts';
import { Findings } from './findings.ts';
import { isKubernetes, readKubernetes } from './kubernetes.ts';
import { ListError } from './list-error.ts';
import { readPlainList } from './plain.ts';
import { type Format, formatByContent, formatByName, hasHelmTemplate } from './recognise.ts';
import { quoted } from './references.ts';
import { entryOf, readYaml, textOf, type YamlValue } from './yaml-tree.ts';

/** Where a list comes from. */
export interface ListSource {
  /** the path, for messages and for its kind; `-` is standard input */
  name: string;
  /** for the interpolation of Compose files and the build arguments of Dockerfiles; none is read from elsewhere */
  variables: Readonly<Record<string, string>>;
}

export type ListKind = 'plain' | 'compose' | 'kubernetes' | 'dockerfile';

export interface ImageList {
  kind: ListKind;
  /** as they were found; one that stands there twice is there twice, see `mergeWanted` */
  images: WantedImage[];
  /** what was understood and holds no image to fetch, each as `file:line: what`; fit to be shown to the user */
  notes: string[];
}

/** Characters. Far more than any file of a project, little enough to be read in seconds. */
const MAX_LENGTH = 8 * 1024 * 1024;

/**
 * Reads a list of images, whatever kind it is of.
 * @param text of the file, decoded, with or without a byte order mark; lines end in LF or CRLF
 * @throws ListError with all problems where there is any: a list is read as a whole or not at all
 */
export function readImageList(text: string, { name, variables }: ListSource): ImageList {
  const shown = name === '-' ? 'standard input' : name;
  if (text.length > MAX_LENGTH)
    throw new ListError([`${shown}: too long for a list of images; give it in parts`]);
  const findings = new Findings(shown);
  const content = text.replace(/^\uFEFF/, '');
  const lines = content.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  const format = formatByName(name) ?? formatByContent(lines);
  const kind = READERS[format]({ content, lines, name, variables }, findings);
  findings.check();
  // Only after the problems: there is always one where the kind is not known.
  if (kind === undefined) throw new ListError([`${shown}: of no kind that is known; ${KINDS}`]);
  return { kind, images: findings.images, notes: findings.notes };
}

interface Text {
  content: string;
  lines: readonly string[];
  name: string;
  variables: Readonly<Record<string, string>>;
}

const KINDS = 'give a plain list, a Compose file, Kubernetes manifests or a Dockerfile';

const HELM_TEMPLATE =
  'looks like a template; for one of a Helm chart, give the output of: helm template CHART';

const READERS: Readonly<Record<Format, (text: Text, findings: Findings) => ListKind | undefined>> = {
  plain: ({ lines }, findings) => {
    readPlainList(lines, findings);
    return 'plain';
  },
  dockerfile: ({ lines, variables }, findings) => {
    readDockerfile(lines, variables, findings);
    return 'dockerfile';
  },
  yaml: readAnyYaml,
};

function readAnyYaml({ content, lines, name, variables }: Text, findings: Findings): ListKind | undefined {
  const documents = readYaml(content, findings);
  if (findings.hasProblems) {
    const template = lines.findIndex(hasHelmTemplate);
    if (template >= 0) findings.failWith(template + 1, HELM_TEMPLATE);
    return undefined;
  }
  const [first] = documents;
  if (!first) {
    findings.addProblem(1, `holds no document; ${KINDS}`);
    return undefined;
  }
  if (documents.some(isKubernetes)) {
    for (const document of documents) readKubernetes(document, findings);
    return 'kubernetes';
  }
  if (documents.length === 1 && isCompose(first)) {
    readCompose(first, variables, findings);
    return 'compose';
  }
  for (const document of documents) findings.addProblem(document.line, faultOfUnknown(document, name));
  return undefined;
}

/** What a YAML document is that holds no images, as far as that can be told, and what to give instead. */
function faultOfUnknown(document: YamlValue, name: string): string {
  if (/(?:^|\/)kustomization\.ya?ml$/i.test(name)) {
    return 'a kustomization names files, not images; give the output of: kustomize build DIRECTORY';
  }
  if (
    /(?:^|\/)(?:values|chart)[^/]*\.ya?ml$/i.test(name) ||
    textOf(entryOf(document, 'apiVersion')) === 'v2'
  ) {
    return 'a part of a Helm chart; give the output of: helm template CHART';
  }
  if (document.kind === 'sequence') return 'a YAML sequence; give one reference to a line, without dashes';
  if (document.kind === 'scalar') return `only the text ${quoted(document.source)}; ${KINDS}`;
  if (document.entries.has('services')) {
    return 'services, and keys beside them that no Compose file has, or several documents; give a Compose file';
  }
  return `neither a Compose file (no services) nor an object of Kubernetes (no apiVersion and kind); for a Helm chart, give the output of: helm template CHART`;
}

/** Owns the question what a text is written in, by its name or by how it begins. Pure. */

/** Which reader understands it; what YAML holds is told by its keys. */
export type Format = 'plain' | 'yaml' | 'dockerfile';

/** @returns undefined where the name of a file does not tell */
export function formatByName(path: string): Format | undefined {
  const file = path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1).toLowerCase();
  if (/\.(?:ya?ml|json)$/.test(file)) return 'yaml';
  if (/^(?:dockerfile|containerfile)(?:$|[.-])|\.(?:dockerfile|containerfile)$/.test(file))
    return 'dockerfile';
  return undefined;
}

/**
 * Tells by the first line that says something. A Dockerfile begins with FROM or ARG, YAML with a key, a bracket or a
 * dash; what else there is, is a plain list.
 */
export function formatByContent(lines: readonly string[]): Format {
  const first = lines.find((line) => /^\s*[^\s#]/.test(line))?.trim() ?? '';
  if (/^(?:FROM|ARG)(?:\s|$)/i.test(first)) return 'dockerfile';
  const hasKey = /^(?:"[^"]*"|'[^']*'|[\w.$/-]+)\s*:(?:\s|$)/.test(first);
  if (hasKey || /^(?:[{[%&!?]|-(?:--)?(?:\s|$))/.test(first)) return 'yaml';
  return 'plain';
}

/** How Helm's templates begin; Argo's `{{…}}` in rendered manifests begins otherwise. */
const HELM =
  /\{\{-? {0,8}(?:\$|\/\*|\.[A-Z]|(?:include|template|if|else|end|range|with|define|toYaml|tpl|default)\b)/;

/**
 * @returns whether text has what `helm template` replaces. Templates of others look the same (Prometheus,
 *   Alertmanager), so that this tells only why something else is wrong.
 */
export function hasHelmTemplate(text: string): boolean {
  return HELM.test(text);
}

/** Owns what a kustomization makes of its files: as `kubectl` says it, and, for machines without that, worked out here. */

import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Test } from 'tap';
import { parse, parseAllDocuments } from 'yaml';
import { runProgram } from '../helpers/engines/program.ts';

/** A Kubernetes object, as far as all have the same shape. */
export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  // biome-ignore lint/suspicious/noExplicitAny: each kind has its own shape, which its schema holds
  [key: string]: any;
}

interface Kustomization {
  kind: string;
  namespace?: string;
  resources?: string[];
  components?: string[];
  images?: { name: string; newName: string; newTag: string }[];
  patches?: { path: string }[];
  configMapGenerator?: { name: string; files: string[]; options: { labels: Record<string, string> } }[];
}

/** What `kubectl kustomize` prints, with generated names as they were before their suffix. */
export async function renderByKubectl(t: Test, directory: string): Promise<KubernetesObject[]> {
  const { code, stdout, stderr } = await runProgram(t, 'kubectl', ['kustomize', directory]);
  if (code !== 0) throw new Error('kubectl kustomize', { cause: stderr });
  return documentsOf(stdout.replaceAll(/\b(hubcap-config)-[a-z0-9]{10}\b/g, '$1'));
}

/**
 * The same for what our kustomizations use: resources, components with patches, one config map, a namespace, images.
 * @throws Error for anything else in them
 */
export async function renderByHand(directory: string): Promise<KubernetesObject[]> {
  const { apiVersion: _, ...all } = parse(await readFile(join(directory, 'kustomization.yaml'), 'utf8'));
  const { kind, namespace, resources, components, images, patches, configMapGenerator, ...more } =
    all as Kustomization;
  if (Object.keys(more).length > 0) throw new Error('not understood here', { cause: { kind, more } });
  let objects: KubernetesObject[] = [];
  for (const name of resources ?? []) {
    if (/\.yaml$/.test(name)) objects.push(...documentsOf(await readFile(join(directory, name), 'utf8')));
    else objects.push(...(await renderByHand(join(directory, name))));
  }
  for (const { name, files, options } of configMapGenerator ?? []) {
    const entries = files.map(async (file) => [
      basename(file),
      await readFile(join(directory, file), 'utf8'),
    ]);
    const data = Object.fromEntries(await Promise.all(entries));
    objects.push({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...options }, data });
  }
  for (const name of components ?? []) {
    const place = join(directory, name);
    const component = parse(await readFile(join(place, 'kustomization.yaml'), 'utf8')) as Kustomization;
    objects.push(...(await renderByHand(place)));
    for (const { path } of component.patches ?? []) {
      const patch = parse(await readFile(join(place, path), 'utf8')) as KubernetesObject;
      objects = patched(objects, patch);
    }
  }
  for (const object of objects) {
    if (namespace !== undefined && object.kind !== 'Namespace') object.metadata.namespace = namespace;
    for (const container of object.spec?.template?.spec?.containers ?? []) {
      const renamed = images?.find(({ name }) => container.image.split(':')[0] === name);
      if (renamed) container.image = `${renamed.newName}:${renamed.newTag}`;
    }
  }
  return objects;
}

export function documentsOf(text: string): KubernetesObject[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS() as KubernetesObject;
  });
}

function patched(objects: KubernetesObject[], patch: KubernetesObject): KubernetesObject[] {
  const isMeant = ({ kind, metadata }: KubernetesObject) =>
    kind === patch.kind && metadata.name === patch.metadata.name;
  if (objects.filter(isMeant).length !== 1) throw new Error('a patch of nothing', { cause: patch });
  return objects.map((object) => (isMeant(object) ? (merge(object, patch) as KubernetesObject) : object));
}

/** As a strategic merge does it: items of lists are told apart by what they are named, or where they are mounted. */
function merge(base: unknown, patch: unknown): unknown {
  if (Array.isArray(base) && Array.isArray(patch)) {
    const keyOf = (item: Record<string, unknown>) => item.mountPath ?? item.name;
    const added = patch.filter((item) => !base.some((one) => keyOf(one) === keyOf(item)));
    const kept = base.map((one) => {
      const change = patch.find((item) => keyOf(item) === keyOf(one));
      return change === undefined ? one : merge(one, change);
    });
    return [...added, ...kept]; // in this order, as kubectl does
  }
  if (!isMapping(base) || !isMapping(patch)) return patch;
  const keys = [...new Set([...Object.keys(base), ...Object.keys(patch)])];
  return Object.fromEntries(
    keys.map((key) => [
      key,
      key in base && key in patch ? merge(base[key], patch[key]) : (patch[key] ?? base[key]),
    ]),
  );
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

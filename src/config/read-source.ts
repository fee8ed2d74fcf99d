/** Owns turning one source into a document: what it says that can be used, and every problem with the rest. */
import type { z } from 'zod';
import { type Document, documentSchema } from './document.ts';
import type { Surroundings } from './paths.ts';
import { type Problem, presentable } from './problems.ts';
import { type KeyPath, type Source, unknownName, valueAt } from './settings.ts';

/** A source that has been read. */
export interface Reading {
  source: Source;
  document: Document;
}

/**
 * Reads a source. Its problems are added to `problems`; the document then holds what is left without them, so that
 * what depends on several sources can still be checked.
 */
export function readSource(source: Source, around: Surroundings, problems: Problem[]): Reading {
  const schema = documentSchema(source.base, around);
  const first = schema.safeParse(source.tree);
  if (first.success) return { source, document: first.data };
  problems.push(...first.error.issues.flatMap((issue) => toProblems(issue, source)));
  const remainder = schema.safeParse(withoutFaults(source.tree, first.error.issues));
  return { source, document: remainder.data ?? schema.parse({}) };
}

function toProblems(issue: z.core.$ZodIssue, source: Source): Problem[] {
  const path = keyPath(issue.path);
  if (issue.code === 'unrecognized_keys') {
    // The schema puts the known keys into the message of these.
    const known = issue.message.split(', ');
    return issue.keys.map((key) => {
      return {
        path: source.nameOf([...path, key]),
        found: undefined,
        expected: unknownName('key', key, known),
      };
    });
  }
  const isListWanted = issue.code === 'invalid_type' && issue.expected === 'array';
  const expected = isListWanted ? 'a list' : issue.message;
  const key = issue.code === 'custom' ? issue.params?.found : undefined;
  return [
    { path: source.nameOf(path), found: presentable(path, key ?? valueAt(source.tree, path)), expected },
  ];
}

/** A copy of the tree without what the issues point at; a faulty entry takes its whole list with it. */
function withoutFaults(tree: unknown, issues: readonly z.core.$ZodIssue[]): unknown {
  const copy = structuredClone(tree);
  for (const issue of issues) {
    const path = keyPath(issue.path);
    const faults = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...path, key]) : [path];
    for (const fault of faults) removeAt(copy, fault);
  }
  return copy;
}

function removeAt(tree: unknown, path: KeyPath): void {
  const index = path.findIndex((part) => typeof part === 'number');
  const whole = index === -1 ? path : path.slice(0, index);
  const key = whole.at(-1);
  const parent = valueAt(tree, whole.slice(0, -1));
  if (key !== undefined && typeof parent === 'object' && parent !== null) Reflect.deleteProperty(parent, key);
}

function keyPath(path: readonly PropertyKey[]): KeyPath {
  return path.map((part) => (typeof part === 'number' ? part : String(part)));
}

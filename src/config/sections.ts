/** Owns how readers of single values are put together to the schema of a document. */
import { z } from 'zod';
import { Expected, type Reader } from './values.ts';

/** A mapping with these keys and no others. */
export function section<S extends z.core.$ZodLooseShape>(shape: S) {
  const known = Object.keys(shape).join(', ');
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? known : `a mapping with ${known}`),
  });
}

/** What may be left out; `null` counts as left out. */
export function optional<S extends z.ZodType>(schema: S) {
  return schema.nullish().transform((value) => value ?? undefined);
}

/** A value whose reader says itself what it expects. */
export function leaf<T>(read: Reader<T>) {
  return z.unknown().transform((value, context): T => {
    const result = read(value);
    if (!(result instanceof Expected)) return result;
    context.addIssue({ code: 'custom', message: result.text });
    return z.NEVER;
  });
}

/** What has been read, made into something else. */
export function mapRead<T, U>(result: T | Expected, change: (value: T) => U): U | Expected {
  return result instanceof Expected ? result : change(result);
}

/** For refinements that must also run beside failed fields. */
export function isMappingPayload({ value }: { value: unknown }): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Owns what a user is told whose command line is not understood. */
import { nearest } from '../config/nearest.ts';

/** The command line is not understood. */
export class UsageError extends Error {}

/**
 * @param message what yargs says
 * @param args as they were given, without the program's name
 * @param helpOf what `--help` says of a command, or of all where it is left out
 * @returns what is wrong, what was likely meant, and where to read on
 */
export async function explainUsage(
  { message }: UsageError,
  args: readonly string[],
  helpOf: (command: string | undefined) => Promise<string>,
): Promise<string> {
  const [first] = args;
  const unknown = unknownIn(message);
  const guess = /^Did you mean (.*)\?$/.exec(message)?.[1];
  const isCommand = first !== undefined && !first.startsWith('-') && !unknown.includes(first) && !guess;
  const command = isCommand ? first : undefined;
  const hint = `Try \`hubcap ${command === undefined ? '' : `${command} `}--help\`.`;
  if (guess !== undefined) return `${first} is no command; did you mean ${guess}?\n${hint}`;
  if (/^Not enough non-option arguments/.test(message)) return `Too few arguments.\n${hint}`;
  if (unknown.length === 0) return `${message}\n${hint}`;
  const flags = flagsIn(await helpOf(command));
  return [...unknown.map((name) => explainUnknown(name, args, flags)), hint].join('\n');
}

/** yargs names a flag of several words twice: as it was given, and as one word. */
function unknownIn(message: string): string[] {
  const names = /^Unknown arguments?: (.*)$/.exec(message)?.[1]?.split(', ') ?? [];
  const asOneWord = names.map((name) => name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase()));
  return names.filter((name, at) => asOneWord.every((other, place) => place === at || other !== name));
}

function explainUnknown(name: string, args: readonly string[], flags: readonly string[]): string {
  const given = [`--${name}`, `-${name}`].find((flag) =>
    args.some((one) => one === flag || one.startsWith(`${flag}=`)),
  );
  if (given === undefined) return `Unknown argument: ${name}`;
  const meant = nearest(name, flags);
  return `Unknown argument: ${given}${meant === undefined ? '' : `; did you mean --${meant}?`}`;
}

/** The flags that a help text describes, without dashes. */
function flagsIn(help: string): string[] {
  return [...help.matchAll(/^\s+(?:-\w, )?--([a-z][a-z-]*)/gm)].map(([, flag = '']) => flag);
}

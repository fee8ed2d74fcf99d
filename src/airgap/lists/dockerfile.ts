/** Owns Dockerfiles: which images a build pulls, for every target in it (Dockerfile reference, as BuildKit reads it). */
import { type PlatformChoice, parsePlatform } from '../../oci/platform.ts';
import { buildArguments, isAutomatic, type Lookup } from './dockerfile-arguments.ts';
import { type Instruction, parseDockerfile, splitInstruction } from './dockerfile-instructions.ts';
import { type Findings, faultOfPlatform } from './findings.ts';
import { quoted } from './references.ts';
import { tryExpand } from './substitution.ts';

/** Image names that stand for nothing. */
const NOTHING = 'scratch';

/** No build has a tenth of them. */
const MAX_STAGES = 10_000;

const KEYWORDS: ReadonlySet<string> = new Set([
  ...[
    'ADD',
    'ARG',
    'CMD',
    'COPY',
    'ENTRYPOINT',
    'ENV',
    'EXPOSE',
    'FROM',
    'HEALTHCHECK',
    'LABEL',
    'MAINTAINER',
  ],
  ...['ONBUILD', 'RUN', 'SHELL', 'STOPSIGNAL', 'USER', 'VOLUME', 'WORKDIR'],
]);

interface Reading {
  findings: Findings;
  escapeChar: string;
  /** of the instructions before the first FROM, which alone count in it */
  lookUp: Lookup;
  /** of the stages so far, lower case */
  stages: Set<string>;
  stageCount: number;
}

/**
 * Reads what the stages start from, what `COPY --from` and `RUN --mount=from` name that is no stage, and the frontend of
 * `# syntax=`.
 * @param variables build arguments; only those count that an ARG declares
 */
export function readDockerfile(
  lines: readonly string[],
  variables: Readonly<Record<string, string>>,
  findings: Findings,
): void {
  const { escapeChar, syntax, instructions, problems } = parseDockerfile(lines);
  for (const { line, text } of problems) findings.addProblem(line, text);
  if (syntax) findings.addImage(syntax.line, syntax.text);
  const first = instructions.findIndex(({ keyword }) => keyword === 'FROM');
  if (first < 0) {
    findings.addProblem(1, 'a Dockerfile without FROM; nothing can be built of it');
    return;
  }
  for (const { keyword, line } of instructions) {
    if (KEYWORDS.has(keyword)) continue;
    findings.addProblem(line, `${quoted(keyword)} is no instruction of a Dockerfile; correct it`);
  }
  const before = instructions.slice(0, first);
  for (const { keyword, line } of before) {
    if (keyword !== 'ARG') findings.addProblem(line, `${keyword} stands before the first FROM; only ARG may`);
  }
  const lookUp = buildArguments(before, variables, { escapeChar, findings });
  const reading: Reading = { findings, escapeChar, lookUp, stages: new Set(), stageCount: 0 };
  readStages(instructions.slice(first), reading);
}

/** A FROM sees the stages before it; a COPY or a mount sees all of them, and a cycle is found by whoever builds. */
function readStages(instructions: readonly Instruction[], reading: Reading): void {
  for (const instruction of instructions) if (instruction.keyword === 'FROM') readFrom(instruction, reading);
  for (const instruction of instructions) readSources(instruction, reading);
}

function readFrom(instruction: Instruction, reading: Reading): void {
  const { line, rest, flags } = instruction;
  const { findings, stages } = reading;
  const [image = '', as, stage, ...more] = rest.split(/\s+/);
  const isNamed = as?.toUpperCase() === 'AS' && stage !== undefined && more.length === 0;
  if (image === '' || (as !== undefined && !isNamed)) {
    findings.addProblem(line, 'FROM takes an image, or an image AS a name; correct it');
  }
  const isStage = isStageOfThePlatform(image, reading);
  const base = isStage ? undefined : expandIn(image, instruction, reading);
  const platforms = platformsOf(instruction, reading);
  const isEarlier = base !== undefined && stages.has(base.toLowerCase());
  if (isNamed) stages.add(stage.toLowerCase());
  reading.stageCount += 1;
  if (reading.stageCount > MAX_STAGES)
    findings.failWith(line, `more than ${MAX_STAGES} stages; split the file`);
  const other = flags.find((flag) => !flag.startsWith('--platform='));
  if (other !== undefined)
    findings.addProblem(line, `FROM does not know the flag ${quoted(other)}; take it out`);
  if (base && base !== NOTHING && !isEarlier) findings.addImage(line, base, platforms);
}

/** Stands for what depends on the platform; no name has it. */
const ANY = '\0';

/** @returns whether a base such as `build-$TARGETARCH` is one of the stages before it, which of them the platform says */
function isStageOfThePlatform(image: string, reading: Reading): boolean {
  const open = openTo(reading);
  // Its problems are found again by whoever expands it for good.
  const text = tryExpand(image, {
    lookUp: open.lookUp,
    doublesDollar: false,
    escapeChar: reading.escapeChar,
  });
  if (!open.isOpen() || typeof text !== 'string') return false;
  const [start = '', ...rest] = text.toLowerCase().split(ANY);
  const end = rest.at(-1) ?? '';
  if (start === '' && end === '') return false;
  return reading.stages.values().some((name) => name.startsWith(start) && name.endsWith(end));
}

/** A look-up to which the variables of the platform are `ANY`, and that knows whether one was asked for. */
function openTo({ lookUp }: Reading): { lookUp: Lookup; isOpen: () => boolean } {
  let isOpen = false;
  return {
    isOpen: () => isOpen,
    lookUp: (name) => {
      const found = lookUp(name);
      if (!isAutomatic(name) || typeof found === 'string') return found;
      isOpen = true;
      return ANY;
    },
  };
}

/** Where the platform is that of the build, whoever reads the list says which. */
function platformsOf(instruction: Instruction, reading: Reading): PlatformChoice | undefined {
  const text = flagOf(instruction, 'platform');
  if (text === undefined) return undefined;
  const open = openTo(reading);
  const expanded = expandIn(text, instruction, { ...reading, lookUp: open.lookUp });
  if (expanded === undefined || open.isOpen()) return undefined;
  const platform = parsePlatform(expanded);
  if (!platform) reading.findings.addProblem(instruction.line, faultOfPlatform(expanded));
  return platform && [platform];
}

function readSources(instruction: Instruction, reading: Reading): void {
  const { keyword, line, rest } = instruction;
  if (keyword === 'ONBUILD') {
    const inner = { ...splitInstruction(rest, reading.escapeChar), line };
    for (const source of sourcesOf(inner)) {
      if (reading.stages.has(source.toLowerCase()) || /^\d+$/.test(source)) continue;
      const what = `${quoted(source)} is for builds that start from this image`;
      reading.findings.addNote(line, `${what}; give it too if it is an image`);
    }
    return;
  }
  for (const source of sourcesOf(instruction)) readSource(source, instruction, reading);
}

function readSource(source: string, { keyword, line }: Instruction, reading: Reading): void {
  const { findings, stages } = reading;
  if (source.includes('$')) {
    const advice = 'no variable is expanded there; name a stage that is FROM it';
    findings.addProblem(line, `from=${source} in ${keyword}: ${advice}`);
  } else if (/^\d+$/.test(source)) {
    if (Number(source) < reading.stageCount) return;
    findings.addProblem(line, `there is no stage number ${source}; they count from 0`);
  } else if (source !== NOTHING && !stages.has(source.toLowerCase())) findings.addImage(line, source);
}

/** @returns what `COPY --from=` and `RUN --mount=…,from=` name */
function sourcesOf(instruction: Omit<Instruction, 'line'>): string[] {
  const { keyword, flags } = instruction;
  const from = keyword === 'COPY' ? flagOf(instruction, 'from') : undefined;
  if (from) return [from];
  if (keyword !== 'RUN') return [];
  const mounts = flags.filter((flag) => flag.startsWith('--mount='));
  return mounts.flatMap((mount) =>
    mount
      .slice('--mount='.length)
      .split(',')
      .map((field) => field.replace(/^"|"$/g, ''))
      .filter((field) => /^from=./i.test(field))
      .map((field) => field.slice('from='.length)),
  );
}

function flagOf({ flags }: Pick<Instruction, 'flags'>, name: string): string | undefined {
  const flag = flags.find((candidate) => candidate.startsWith(`--${name}=`));
  return flag?.slice(name.length + 3);
}

function expandIn(
  text: string,
  { line }: Instruction,
  { findings, escapeChar, lookUp }: Reading,
): string | undefined {
  const expanded = tryExpand(text, { lookUp, doublesDollar: false, escapeChar });
  if (typeof expanded === 'string') return expanded;
  findings.addProblem(line, `in ${quoted(text)}, ${expanded.message}`);
  return undefined;
}

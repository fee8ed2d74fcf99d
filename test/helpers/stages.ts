/** Owns waiting for a download from upstream to be at a certain stage. */
import type { Persona } from './persona-server.ts';

/**
 * asked       upstream is asked; nothing is answered yet
 * head        size known, room made by eviction, no byte there
 * middle      half of it is sent
 * held back   what is sent now is what no reader sees before it is proven
 * end         all is sent: to be synced, moved, noted
 */
export const stages = ['asked', 'head', 'middle', 'held back', 'end'] as const;
export type Stage = (typeof stages)[number];

const HELD_BACK_BYTES = 64 * 1024;

export interface StageWatch {
  /** reports the stages of all downloads */
  persona: Persona;
  /** resolves when some download is at this stage for the `count`th time from now */
  reached(stage: Stage, count: number): Promise<void>;
}

export function watchStages(): StageWatch {
  let waiting: { stage: Stage; left: number; resolve: () => void } | undefined;
  const note = (stage: Stage): void => {
    if (waiting?.stage !== stage) return;
    waiting.left -= 1;
    if (waiting.left <= 0) waiting.resolve();
  };
  return {
    reached: (stage, count) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting = { stage, left: count, resolve };
      return promise;
    },
    persona: async (_asked, answer) => {
      note('asked');
      const stage = waiting?.stage ?? 'end';
      const plain = await answer();
      let isNoted = false;
      const hold = {
        at: positionOf(stage, plain.body?.length ?? 0),
        // Asked for when the body is that far; nobody is held up.
        get gate() {
          if (!isNoted) note(stage);
          isNoted = true;
          return Promise.resolve();
        },
      };
      return stage === 'asked' ? plain : { ...plain, hold };
    },
  };
}

function positionOf(stage: Stage, length: number): number {
  if (stage === 'head') return 0;
  if (stage === 'middle') return length >> 1;
  return stage === 'end' ? length : Math.max(0, length - HELD_BACK_BYTES);
}

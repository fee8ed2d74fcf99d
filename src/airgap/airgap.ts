/** Owns what the air gap's rooms offer to commands: the same in a daemon and without one. */
import type {
  CarriedContent,
  ExportPlan,
  ExportRequest,
  ImportEvent,
  ImportRequest,
  PinReport,
  PinRequest,
  PinStatus,
  PrewarmEvent,
  PrewarmRequest,
  RemoveReport,
  RemoveRequest,
  UnpinReport,
} from './commands.ts';
import { exportImages } from './exporter.ts';
import { importArchive, refuseWithoutRoom } from './importer.ts';
import type { AirgapParts } from './parts.ts';
import { listPins, pinImages, unpinImages } from './pinning.ts';
import { prewarm } from './prewarm.ts';
import { removeImages } from './removal.ts';

export interface ExportedBundle {
  plan: ExportPlan;
  /** to be read to its end, or returned; its chunks are the reader's, who may give their memory back */
  bundle: AsyncIterable<Buffer>;
}

export interface AirgapServices {
  /** Fetches images before anyone asks for them; ends with a report. @throws RefusedError when it is read, or at once */
  prewarm(request: PrewarmRequest): AsyncIterable<PrewarmEvent>;
  pins(): AsyncIterable<PinStatus>;
  /** @throws RefusedError; nothing is pinned then */
  pin(request: PinRequest): Promise<PinReport>;
  /** @throws RefusedError; nothing is unpinned then */
  unpin(references: readonly string[]): Promise<UnpinReport>;
  /** @throws RefusedError; nothing is removed then */
  remove(request: RemoveRequest): Promise<RemoveReport>;
  /** @throws RefusedError */
  export(request: ExportRequest): Promise<ExportedBundle>;
  /**
   * Looks whether there is room for what an archive carries, before any of it is sent.
   * @throws RefusedError
   */
  checkImport(contents: readonly CarriedContent[]): Promise<void>;
  /** @param archive read to its end; names appear only after that. @throws RefusedError when it is read, or at once */
  import(request: ImportRequest, archive: AsyncIterable<Buffer>): AsyncIterable<ImportEvent>;
}

export function makeAirgap(parts: AirgapParts): AirgapServices {
  return {
    prewarm: (request) => prewarm(request, '', parts),
    async *pins() {
      yield* listPins(parts);
    },
    pin: async (request) => pinImages(request, parts),
    unpin: async (references) => unpinImages(references, parts),
    remove: (request) => removeImages(request, parts),
    export: (request) => exportImages(request, parts),
    checkImport: async (contents) => refuseWithoutRoom(contents, parts),
    import: (request, archive) => importArchive(request, archive, parts),
  };
}

/** What every BlobReader must do, however its content is had. Reads follow each other: not all can seek. */
import type { Test } from 'tap';
import type { BlobReader } from '../../src/store/blob-reader.ts';

export interface Subject {
  reader: BlobReader;
  content: Buffer;
}

/** Makes a reader of `bytes` bytes of content; it may be asked many times. */
export type MakeReader = (t: Test, bytes: number) => Promise<Subject>;

/** @param isSeeking whether a reader may be read at any position */
export function checkBlobReader(t: Test, name: string, make: MakeReader, { isSeeking = true } = {}): void {
  t.test(`${name}: the whole content`, async (t) => {
    for (const bytes of [0, 1, 64 * 1024, 64 * 1024 + 1, 1_000_000]) {
      const { reader, content } = await make(t, bytes);
      t.equal(reader.size, bytes);
      t.ok((await drain(reader, 100_000)).equals(content), `${bytes} bytes`);
      t.equal(await reader.read(Buffer.alloc(10), bytes), 0, 'the end stays the end');
      reader.close();
    }
  });

  t.test(`${name}: no more than the buffer takes, and nothing beside it`, async (t) => {
    const { reader, content } = await make(t, 200_000);
    const around = Buffer.alloc(30, 0xee);
    const bytes = await reader.read(around.subarray(10, 20), 0);
    t.ok(bytes > 0 && bytes <= 10);
    t.ok(around.subarray(10, 10 + bytes).equals(content.subarray(0, bytes)));
    t.ok(
      around.subarray(20).equals(Buffer.alloc(10, 0xee)) &&
        around.subarray(0, 10).equals(Buffer.alloc(10, 0xee)),
    );
    reader.close();
  });

  t.test(`${name}: small and odd buffers`, async (t) => {
    const { reader, content } = await make(t, 70_001);
    t.ok((await drain(reader, 997)).equals(content));
    reader.close();
  });

  t.test(`${name}: a closed reader gives nothing, and may be closed again`, async (t) => {
    const { reader } = await make(t, 200_000);
    await reader.read(Buffer.alloc(10), 0);
    reader.close();
    reader.close();
    await t.rejects(reader.read(Buffer.alloc(10), 10));
  });

  t.test(`${name}: closed in the middle of a read`, async (t) => {
    const { reader, content } = await make(t, 200_000);
    const buffer = Buffer.alloc(100);
    const reading = reader.read(buffer, 0).catch(() => 0);
    reader.close();
    const bytes = await reading;
    t.ok(buffer.subarray(0, bytes).equals(content.subarray(0, bytes)), 'what was read is right');
  });

  if (!isSeeking) return;
  t.test(`${name}: any position, in any order`, async (t) => {
    const { reader, content } = await make(t, 300_000);
    for (const position of [299_999, 0, 150_000, 150_000, 1, 234_567]) {
      const buffer = Buffer.alloc(5);
      const bytes = await reader.read(buffer, position);
      t.ok(bytes > 0);
      t.ok(buffer.subarray(0, bytes).equals(content.subarray(position, position + bytes)), `at ${position}`);
    }
    t.equal(await reader.read(Buffer.alloc(5), 300_000), 0);
    t.equal(await reader.read(Buffer.alloc(5), 400_000), 0, 'past the end');
    reader.close();
  });
}

async function drain(reader: BlobReader, bufferBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let position = 0; ; ) {
    const buffer = Buffer.alloc(bufferBytes);
    const bytes = await reader.read(buffer, position);
    if (bytes === 0) return Buffer.concat(parts);
    parts.push(buffer.subarray(0, bytes));
    position += bytes;
  }
}

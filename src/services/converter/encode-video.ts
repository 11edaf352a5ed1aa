import { nameDraft, type Conversion } from '../../domain/conversion.ts';
import { DEFAULT_AUDIO_OPTIONS } from '../../domain/audio-options.ts';
import { AudiowaveError } from '../../domain/errors.ts';
import { mintFileId, type FileId } from '../../domain/ids.ts';
import type { AudioEngine, AudioResult, AudioSource } from '../../ports/audio-engine.ts';
import type { ConversionStore } from '../../ports/conversion-store.ts';
import type { FileStore } from '../../ports/file-store.ts';

export interface EncodeDeps {
  readonly conversions: ConversionStore;
  readonly videos: FileStore;
  readonly mp3s: FileStore;
  readonly engine: AudioEngine;
}

/** A whole MP3 in the store. */
export interface EncodedVideo extends AudioResult {
  readonly mp3Fid: FileId;
}

/**
 * Makes the MP3 of a claimed conversion, as the draft that its record names. It is whole in the store when this resolves;
 * when this fails, nothing is left of it but what the record names as a draft: a commit whose answer got lost.
 * `file.unknown` where the video is gone; the engine's errors as they are.
 */
export async function encodeVideo(
  deps: EncodeDeps,
  conversion: Conversion,
  control: { readonly signal: AbortSignal; readonly onProgress: (share: number) => void },
): Promise<EncodedVideo> {
  const { signal, onProgress } = control;
  const source = await openSource(deps.videos, conversion.id);
  const mp3Fid = await beginDraft(deps, conversion);
  const sink = await deps.mp3s.create(mp3Fid, { signal });
  try {
    const tags = conversion.name === null ? {} : { title: titleOf(conversion.name) };
    const options = DEFAULT_AUDIO_OPTIONS;
    const result = await deps.engine.convert({ source, sink, options, tags, signal, onProgress });
    signal.throwIfAborted();
    await sink.commit();
    return { ...result, mp3Fid };
  } catch (error) {
    // The first error says more; bytes that abort() could not remove are invisible, and swept.
    await sink.abort().catch(() => undefined);
    throw error;
  }
}

/**
 * Removes what earlier attempts have left and names the next draft. Only now that the conversion is claimed can't an
 * earlier attempt, should it live on, make its draft the MP3 of the conversion any more.
 */
async function beginDraft(deps: EncodeDeps, conversion: Conversion): Promise<FileId> {
  for (const earlier of conversion.drafts) await deps.mp3s.remove(earlier);
  const draft = mintFileId();
  const begun = await deps.conversions.update(conversion.id, (current) =>
    // Named already, where the answer to the same write got lost.
    current.drafts.includes(draft) ? current : nameDraft(current, conversion.lease?.holder ?? '', draft),
  );
  if (begun === undefined) throw new AudiowaveError('audio.cancelled');
  return draft;
}

async function openSource(videos: FileStore, id: FileId): Promise<AudioSource> {
  const info = await videos.stat(id);
  if (info === undefined) {
    throw new AudiowaveError('file.unknown', 'The video is no longer in the store.');
  }
  const localPath = await videos.localPath?.(id);
  return {
    sizeBytes: info.sizeBytes,
    read: (range) => videos.read(id, range ?? {}),
    ...(localPath === undefined ? {} : { localPath }),
  };
}

/** The name of the file without its ending. */
function titleOf(name: string): string {
  return name.replace(/(?<=.)\.[^.\s]{1,5}$/u, '');
}

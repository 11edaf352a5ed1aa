import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { AudiowaveError } from './errors.ts';

/** A JSON object, as it travels. Fields that nobody here knows are kept when a message travels on. */
export type MessageBody = Readonly<Record<string, unknown>>;

const WireFileId = Type.String({ pattern: '^[0-9a-fA-F]{24}$' });

/** On queue `video`: a video lies in the store (drop-in contract, "RabbitMQ"). */
export const VideoUploaded = Type.Object({
  video_fid: WireFileId,
  mp3_fid: Type.Optional(Type.Null()),
  username: Type.String({ minLength: 1 }),
});
export type VideoUploaded = Static<typeof VideoUploaded>;

/** On queue `mp3`: an MP3 lies in the store. Only successes travel here. */
export const Mp3Ready = Type.Object({
  video_fid: WireFileId,
  mp3_fid: WireFileId,
  username: Type.String({ minLength: 1 }),
});
export type Mp3Ready = Static<typeof Mp3Ready>;

/** On our own queue `audiowave.failed`: a conversion has failed; the reason stands in its record. */
export const ConversionFailed = Type.Object({
  video_fid: WireFileId,
  username: Type.String({ minLength: 1 }),
});
export type ConversionFailed = Static<typeof ConversionFailed>;

/** The queue of {@link ConversionFailed}. */
export const FAILED_QUEUE = 'audiowave.failed';

type MessageSchema = typeof VideoUploaded | typeof Mp3Ready | typeof ConversionFailed;

/** `body` with all its fields, checked against `schema`; throws `broker.malformed-message`, which is final. */
export function parseMessage<S extends MessageSchema>(schema: S, body: unknown): Static<S> & MessageBody {
  if (!Value.Check(schema, body)) {
    const [first] = Value.Errors(schema, body);
    const detail = first === undefined ? undefined : `${first.instancePath} ${first.message}`;
    throw new AudiowaveError('broker.malformed-message', undefined, detail === undefined ? {} : { detail });
  }
  return body;
}

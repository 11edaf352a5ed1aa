import { Type, type Static, type TSchema } from 'typebox';
import { CONVERSION_STATES } from '../../../domain/conversion.ts';

// The types of this package have no union helper for literals of a list.
function oneOf<T extends string>(values: readonly T[], description?: string) {
  return Type.Enum([...values], description === undefined ? {} : { description });
}

function nullable<T extends TSchema>(schema: T, description?: string) {
  return Type.Union([schema, Type.Null()], description === undefined ? {} : { description });
}

const Id = Type.String({ pattern: '^[0-9a-f]{24}$', description: '24 hex digits.' });
const Time = Type.String({ format: 'date-time', description: 'ISO 8601, UTC, with milliseconds.' });
const Bytes = Type.Integer({ minimum: 0 });

export const ConversionView = Type.Object(
  {
    id: Id,
    state: oneOf(CONVERSION_STATES),
    name: nullable(Type.String(), 'Name of the video, without folders.'),
    source: Type.Object({
      kind: oneOf(['upload', 'url', 'foreign']),
      url: Type.Optional(Type.String({ description: 'Where it was fetched from; only for `url`.' })),
    }),
    videoBytes: nullable(Bytes),
    mp3Fid: nullable(Id, 'The `fid` of GET /download.'),
    mp3Bytes: nullable(Bytes),
    durationMs: nullable(Type.Integer({ minimum: 0 }), 'Length of the sound.'),
    progressPercent: nullable(
      Type.Number({ minimum: 0, maximum: 100 }),
      'Share of the sound that is encoded, with one decimal.',
    ),
    incomplete: Type.Boolean({ description: 'The video broke off; the MP3 holds its beginning.' }),
    failure: nullable(Type.Object({ code: Type.String(), message: Type.String() })),
    attempts: Type.Integer({ minimum: 0 }),
    mail: oneOf(['none', 'due', 'sent', 'refused']),
    createdAt: Time,
    updatedAt: Time,
    startedAt: nullable(Time),
    endedAt: nullable(Time),
    links: Type.Object({ self: Type.String(), mp3: nullable(Type.String(), 'Null while there is no MP3.') }),
  },
  { title: 'Conversion' },
);
export type ConversionView = Static<typeof ConversionView>;

export const ConversionList = Type.Object({
  items: Type.Array(ConversionView),
  nextCursor: nullable(Type.String(), 'Null on the last page.'),
});

export const Service = Type.Object({
  name: Type.Literal('audiowave'),
  version: Type.String(),
  registration: oneOf(['open', 'closed']),
  outbox: Type.Boolean({ description: 'Mails can be read at /api/v1/outbox.' }),
  maxUploadBytes: Bytes,
});

export const CredentialsBody = Type.Object({
  email: Type.String({ maxLength: 1_000 }),
  password: Type.String({ maxLength: 10_000 }),
});

export const Session = Type.Object({ token: Type.String(), expiresAt: Time });

const Role = oneOf(['user', 'admin']);

export const Account = Type.Object({ id: Type.String(), email: Type.String(), role: Role, createdAt: Time });

export const Me = Type.Object({ email: Type.String(), role: Role });

export const Link = Type.Object({ url: Type.String({ format: 'uri' }), expiresAt: Time });

export const OutboxList = Type.Object({
  items: Type.Array(
    Type.Object({
      name: Type.String({ description: 'Name of the .eml file.' }),
      to: Type.String(),
      subject: Type.String(),
      text: Type.String(),
      sentAt: Time,
    }),
  ),
});

export const Problem = Type.Object(
  {
    type: Type.String({ description: '`urn:audiowave:error:` and the code.' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: 'One of docs/errors.md.' }),
    retryable: Type.Boolean(),
    requestId: Type.String(),
    errors: Type.Optional(Type.Array(Type.Object({ path: Type.String(), message: Type.String() }))),
  },
  { title: 'Problem' },
);

export const IdParams = Type.Object({ id: Type.String({ description: '24 hex digits.' }) });

export const ListQuery = Type.Object({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
  cursor: Type.Optional(Type.String({ description: '`nextCursor` of the page before.' })),
});

/** Bodies of POST /api/v1/conversions, which the route reads itself. */
export const FileBody = Type.Object({
  file: Type.String({
    contentMediaType: 'application/octet-stream',
    description: 'The one file; any field name.',
  }),
});
export const UrlBody = Type.Object({ url: Type.String({ description: 'http or https.' }) });

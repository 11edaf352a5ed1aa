import { addLink, type Conversion } from '../../../domain/conversion.ts';
import { downloadLinkUrl, mintDownloadToken } from '../../../domain/download-token.ts';
import { AudiowaveError } from '../../../domain/errors.ts';
import { parseFileId } from '../../../domain/ids.ts';
import type { Claims } from '../../../domain/user.ts';
import { callerOf, requireToken } from '../access.ts';
import { sendMp3 } from '../download/send-mp3.ts';
import type { App, Edge } from '../edge.ts';
import { ErrorWithStatus } from '../errors.ts';
import { removeConversion } from '../remove-conversion.ts';
import { hasMp3, viewConversion } from './conversion-view.ts';
import { ConversionList, ConversionView, IdParams, Link, ListQuery } from './schemas.ts';

const DEFAULT_LIMIT = 20;
const MP3_REMOVED = { 410: { description: 'The MP3 was removed.', types: ['application/problem+json'] } };

/** Lists, shows, cancels and removes the caller's conversions, and hands out their MP3s. */
export function addConversionRoutes(app: App, edge: Edge): void {
  app.addHook('onRequest', requireToken(edge.deps.auth));
  addListRoute(app, edge);
  addShowRoute(app, edge);
  addRemoveRoute(app, edge);
  addMp3Route(app, edge);
  addLinkRoute(app, edge);
}

function addListRoute(app: App, { deps }: Edge): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/conversions',
    schema: { querystring: ListQuery, response: { 200: ConversionList } },
    config: {
      doc: { summary: 'Your conversions, newest first', access: 'token', errors: ['request.malformed'] },
    },
    handler: async (request, reply) => {
      const { limit = DEFAULT_LIMIT, cursor } = request.query;
      const page = { limit, ...(cursor === undefined ? {} : { cursor }) };
      const { conversions, next } = await deps.conversions.list(callerOf(request).username, page);
      return reply.send({ items: conversions.map(viewConversion), nextCursor: next ?? null });
    },
  });
}

function addShowRoute(app: App, edge: Edge): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/conversions/:id',
    schema: { params: IdParams, response: { 200: ConversionView } },
    config: { doc: { summary: 'One conversion', access: 'token', errors: ['conversion.unknown'] } },
    handler: async (request, reply) =>
      reply.send(viewConversion(await findOwned(edge, request.params.id, callerOf(request)))),
  });
}

function addRemoveRoute(app: App, edge: Edge): void {
  app.route({
    method: 'DELETE',
    url: '/conversions/:id',
    schema: { params: IdParams },
    config: {
      doc: {
        summary: 'Cancel a conversion that runs; remove one that has ended, with its files',
        access: 'token',
        errors: ['conversion.unknown'],
        media: { 204: { description: 'Cancelled or removed.', types: [] } },
      },
    },
    handler: async (request, reply) => {
      await removeConversion(edge, await findOwned(edge, request.params.id, callerOf(request)));
      return reply.code(204).send();
    },
  });
}

function addMp3Route(app: App, edge: Edge): void {
  const { deps } = edge;
  app.route({
    method: ['GET', 'HEAD'],
    url: '/conversions/:id/mp3',
    schema: { params: IdParams },
    config: {
      doc: {
        summary: 'The MP3: ranges, ETag, If-None-Match, If-Range and HEAD as in RFC 9110',
        access: 'token',
        errors: ['conversion.unknown', 'conversion.not-ready', 'file.range-not-satisfiable'],
        media: {
          200: { description: 'The whole MP3.', types: ['audio/mpeg'] },
          206: { description: 'The range that was asked for.', types: ['audio/mpeg'] },
          304: { description: 'The copy with this ETag is still good.', types: [] },
          ...MP3_REMOVED,
        },
      },
    },
    handler: async (request, reply) => {
      const conversion = await findOwned(edge, request.params.id, callerOf(request));
      const fid = mp3Of(conversion);
      if ((await deps.mp3s.stat(fid)) === undefined) throw removed();
      return sendMp3(request, reply, deps.mp3s, { fid, videoName: conversion.name });
    },
  });
}

function addLinkRoute(app: App, edge: Edge): void {
  const { deps, settings } = edge;
  app.route({
    method: 'POST',
    url: '/conversions/:id/links',
    schema: { params: IdParams, response: { 201: Link } },
    config: {
      doc: {
        summary: 'A link that downloads the MP3 without a login, for a time',
        access: 'token',
        errors: ['conversion.unknown', 'conversion.not-ready'],
        media: MP3_REMOVED,
      },
    },
    handler: async (request, reply) => {
      const conversion = await findOwned(edge, request.params.id, callerOf(request));
      mp3Of(conversion);
      const now = Date.now();
      const { token, link } = mintDownloadToken(settings.linkTtlMs, now);
      const updated = await deps.conversions.update(conversion.id, (c) => addLink(c, link, now));
      if (updated === undefined) throw removed();
      const url = downloadLinkUrl(edge.publicUrl(), token);
      return reply.code(201).send({ url, expiresAt: new Date(link.expiresAt).toISOString() });
    },
  });
}

/** Somebody else's is unknown, as if it were not there. */
async function findOwned({ deps }: Edge, text: string, caller: Claims): Promise<Conversion> {
  const id = parseFileId(text);
  const found = id === undefined ? undefined : await deps.conversions.findOwned(id, caller.username);
  if (found === undefined) throw new AudiowaveError('conversion.unknown');
  return found;
}

function mp3Of(conversion: Conversion): NonNullable<Conversion['mp3Fid']> {
  if (conversion.mp3RemovedAt !== null) throw removed();
  if (!hasMp3(conversion) || conversion.mp3Fid === null) {
    throw new AudiowaveError(
      'conversion.not-ready',
      `The conversion is ${conversion.state}; there is no MP3.`,
    );
  }
  return conversion.mp3Fid;
}

function removed(): AudiowaveError {
  return new ErrorWithStatus(new AudiowaveError('conversion.not-ready', 'The MP3 was removed.'), 410);
}

import type { FastifyReply, FastifyRequest } from 'fastify';
import { hashDownloadToken } from '../../../domain/download-token.ts';
import { AudiowaveError } from '../../../domain/errors.ts';
import { parseFileId, type FileId } from '../../../domain/ids.ts';
import { emailKey, type Claims } from '../../../domain/user.ts';
import { callerOf, requireToken } from '../access.ts';
import type { App, Edge } from '../edge.ts';
import { sendMp3, type Mp3Request } from './send-mp3.ts';

/** `GET /download?fid=` of the drop-in contract, and the one-click links. */
export function addDownloadRoutes(app: App, edge: Edge): void {
  const { auth, conversions, mp3s } = edge.deps;
  app.route<{ Querystring: { fid?: string | string[] } }>({
    method: ['GET', 'HEAD'],
    url: '/download',
    onRequest: requireToken(auth),
    handler: async (request, reply) => {
      const asked = [request.query.fid].flat()[0];
      if (asked === undefined || asked === '') return reply.code(400).type(TEXT).send('fid is required');
      const fid = parseFileId(asked);
      if (fid === undefined) throw new AudiowaveError('file.unknown');
      return sendMp3(request, reply, mp3s, await findForCaller(edge, fid, callerOf(request)));
    },
  });

  app.route<{ Params: { token: string }; Querystring: { inline?: string | string[] } }>({
    method: ['GET', 'HEAD'],
    url: '/d/:token',
    handler: async (
      request: FastifyRequest<{ Params: { token: string }; Querystring: { inline?: unknown } }>,
      reply: FastifyReply,
    ) => {
      const tokenHash = hashDownloadToken(request.params.token);
      const found = await conversions.findByLink(tokenHash);
      const link = found?.links.find((entry) => entry.tokenHash === tokenHash);
      if (found?.mp3Fid == null || link === undefined || link.expiresAt <= Date.now()) {
        throw new AudiowaveError('file.unknown');
      }
      const inline = request.query.inline !== undefined;
      return sendMp3(request, reply, mp3s, { fid: found.mp3Fid, videoName: found.name, inline });
    },
  });
}

const TEXT = 'text/html; charset=utf-8';

/** What the caller may have under this id; `file.unknown` for somebody else's, as if it were not there. */
async function findForCaller(edge: Edge, fid: FileId, caller: Claims): Promise<Mp3Request> {
  const record = await edge.deps.conversions.findByMp3(fid);
  const isAllowed =
    record === undefined
      ? caller.role === 'admin' || edge.settings.legacyDownloads === 'open'
      : emailKey(record.owner) === emailKey(caller.username);
  if (!isAllowed) throw new AudiowaveError('file.unknown');
  return { fid, videoName: record?.name ?? null };
}

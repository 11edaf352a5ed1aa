import type { FastifyRequest } from 'fastify';
import type { Conversion } from '../../../domain/conversion.ts';
import { callerOf } from '../access.ts';
import type { App, Edge } from '../edge.ts';
import { admitUpload, asksForImport, readImportRequest } from './admission.ts';
import { receiveUpload } from './receive-upload.ts';

/** Takes the upload, or begins the fetch, that an admitted request asks for. */
export async function takeUpload(edge: Edge, request: FastifyRequest): Promise<Conversion> {
  if (asksForImport(request)) {
    const { caller, url } = await readImportRequest(edge, request);
    return edge.imports.begin(caller.username, url);
  }
  return receiveUpload(edge, request, callerOf(request).username);
}

/** `POST /upload` of the drop-in contract. */
export function addUploadRoute(app: App, edge: Edge): void {
  app.post('/upload', { onRequest: admitUpload(edge, { tokenInBody: true }) }, async (request, reply) => {
    const { id } = await takeUpload(edge, request);
    return reply
      .type('text/html; charset=utf-8')
      .header('location', `/api/v1/conversions/${id}`)
      .header('x-conversion-id', id)
      .send('success!');
  });
}

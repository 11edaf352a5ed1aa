import type { App, Edge } from '../edge.ts';
import { admitUpload } from '../upload/admission.ts';
import { takeUpload } from '../upload/routes.ts';
import { viewConversion } from './conversion-view.ts';
import { ConversionView, FileBody, UrlBody } from './schemas.ts';

/** `POST /api/v1/conversions`: a file, or the URL of one. */
export function addUploadV1Route(app: App, edge: Edge): void {
  app.route({
    method: 'POST',
    url: '/conversions',
    onRequest: admitUpload(edge, { tokenInBody: false }),
    schema: { response: { 201: ConversionView } },
    config: {
      doc: {
        summary: 'Upload a video, or have one fetched by URL',
        access: 'token',
        errors: [
          'upload.not-one-file',
          'upload.malformed',
          'upload.too-large',
          'upload.stalled',
          'import.url-required',
          'import.url-not-allowed',
          'import.failed',
          'request.too-large',
          'audio.cancelled',
          'store.full',
        ],
        body: { 'multipart/form-data': FileBody, 'application/json': UrlBody },
      },
    },
    handler: async (request, reply) => {
      const conversion = await takeUpload(edge, request);
      const { id } = conversion;
      return reply
        .code(201)
        .header('location', `/api/v1/conversions/${id}`)
        .header('x-conversion-id', id)
        .send(viewConversion(conversion));
    },
  });
}

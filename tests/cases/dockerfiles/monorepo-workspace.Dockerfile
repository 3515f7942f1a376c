FROM node:22-alpine AS build
RUN corepack enable
WORKDIR /repo
COPY pnpm-lock.yaml pnpm-workspace.yaml package.json ./
COPY packages/shared/package.json packages/shared/
COPY apps/api/package.json apps/api/
RUN pnpm install --frozen-lockfile
COPY packages packages
COPY apps apps
RUN pnpm --filter api build && pnpm deploy --filter api --prod /out
FROM node:22-alpine
COPY --from=build /out /srv
USER node
CMD ["node", "/srv/main.js"]

# syntax=docker/dockerfile:1
FROM node:22-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=secret,id=npm_token,env=NPM_TOKEN \
    npm config set "//npm.example/:_authToken" '${NPM_TOKEN}' && npm ci
COPY . .
RUN npm run build
FROM gcr.io/distroless/nodejs22-debian12:nonroot
COPY --from=build /app/dist /app
CMD ["/app/index.js"]

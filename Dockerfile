# Build: everything. Run: compiled JavaScript, production dependencies, a user without rights.
FROM node:24.22.3-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY workers workers
COPY jobs jobs
COPY lib lib
COPY test/support/copy-assets.ts test/support/copy-assets.ts
RUN npm run build && npm prune --omit=dev --omit=optional --no-audit --no-fund

FROM node:24.22.3-bookworm-slim
# ssh-keygen verifies the signatures of approvals.
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends openssh-client ca-certificates \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
# A worker needs little memory however much it deletes; without limits the heap grows before it is collected.
ENV NODE_ENV=production NODE_OPTIONS="--enable-source-maps --max-semi-space-size=4 --max-old-space-size=128"
# Outside a container the health port is the machine's own; here its network decides who reaches it.
ENV LETHE_HEALTH_HOST=0.0.0.0
COPY --from=build /app/package.json ./package.json
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
RUN mkdir /keys && chown 1000:1000 /keys
USER 1000:1000
EXPOSE 9464
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9464/livez').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/workers/cli.js"]
CMD ["work", "all"]

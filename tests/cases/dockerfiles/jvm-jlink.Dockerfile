FROM eclipse-temurin:21-jdk-alpine AS jre
RUN jlink --add-modules java.base,java.net.http --strip-debug --no-man-pages --output /jre
FROM alpine:3.22
COPY --from=jre /jre /opt/jre
COPY build/libs/worker-all.jar /opt/worker.jar
RUN adduser -D -u 10001 worker
USER worker
ENTRYPOINT ["/opt/jre/bin/java", "-XX:MaxRAMPercentage=75", "-jar", "/opt/worker.jar"]
